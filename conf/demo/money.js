/*
 * Money: integers of the currency's minor unit for the server, words for
 * people, numbers with decimals for inputs.
 *
 * A currency may be anything; one that the browser does not know, or none, has
 * no minor unit.
 */

function format(currency) {
    try {
        return new Intl.NumberFormat('en', { style: 'currency', currency });

    } catch {
        return new Intl.NumberFormat('en');
    }
}


function digits(currency) {
    const { style, maximumFractionDigits: n } =
        format(currency).resolvedOptions();

    return style === 'currency' ? n : 0;
}


export function money(amount, currency) {
    const f = format(currency);
    const text = f.format(amount / 10 ** digits(currency));

    return f.resolvedOptions().style === 'currency' || !currency
           ? text : `${text} ${currency}`;
}


/* What a number input holds, as an integer; undefined if it is empty. */

export function minor(text, currency) {
    return text.trim() === '' ? undefined
                              : Math.round(text * 10 ** digits(currency));
}


export function major(amount, currency) {
    const n = digits(currency);

    return (amount / 10 ** n).toFixed(n);
}


export function step(currency) {
    return String(10 ** -digits(currency));
}
