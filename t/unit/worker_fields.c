/*
 * A JSON object read by a table of fields: each type, each width, ranges,
 * what is absent, and what is refused with which words.
 *
 * Sources: core/
 * Libs: -lyajl -lsodium
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <rt_fields.h>


typedef struct {
    int64_t    amount;
    uint32_t   bids;
    uint16_t   port;
    uint8_t    kind;
    uint8_t    open;
    rt_str_t   currency;
} bid_t;


static const char *const  kinds[] = { "english", "dutch", NULL };

static const rt_field_t  fields[] = {
    { "amount", RT_FIELD_NUMBER, rt_field_at(bid_t, amount), -5, 1ll << 40,
      RT_FIELD_REQUIRED, NULL },
    { "bids", RT_FIELD_NUMBER, rt_field_at(bid_t, bids), 0, UINT32_MAX, 0,
      NULL },
    { "port", RT_FIELD_NUMBER, rt_field_at(bid_t, port), 1, 65535, 0, NULL },
    { "kind", RT_FIELD_NAME, rt_field_at(bid_t, kind), 0, 0, 0, kinds },
    { "open", RT_FIELD_BOOL, rt_field_at(bid_t, open), 0, 0, 0, NULL },
    { "currency", RT_FIELD_STRING, rt_field_at(bid_t, currency), 2, 3, 0,
      NULL },
};

static rt_json_t  js;
static bid_t      bid;
static char       error[RT_FIELD_ERROR_MAX];


static rt_int_t
reads(const char *text)
{
    assert_int_equal(rt_json_parse(&js, (const u_char *) text, strlen(text)),
                     RT_OK);

    memset(&bid, 0, sizeof(bid_t));
    bid.bids = 77;
    bid.port = 80;
    bid.kind = 9;

    return rt_fields_read(&js, &js.nodes[0], fields, rt_fields_n(fields), &bid,
                          error);
}


static void
refused(const char *text, const char *words)
{
    assert_int_equal(reads(text), RT_DECLINED);
    assert_string_equal(error, words);
}


static void
all_types(void **data)
{
    (void) data;

    assert_int_equal(reads("{\"amount\":-5,\"bids\":4294967295,\"port\":65535,"
                           "\"kind\":\"dutch\",\"open\":true,"
                           "\"currency\":\"EUR\",\"other\":[1]}"), RT_OK);

    assert_int_equal(bid.amount, -5);
    assert_int_equal(bid.bids, UINT32_MAX);
    assert_int_equal(bid.port, 65535);
    assert_int_equal(bid.kind, 1);
    assert_int_equal(bid.open, 1);
    assert_int_equal(bid.currency.len, 3);
    assert_memory_equal(bid.currency.data, "EUR", 3);
    assert_string_equal(error, "");
}


static void
absent_stays(void **data)
{
    (void) data;

    assert_int_equal(reads("{\"amount\":1099511627776,\"bids\":null}"), RT_OK);

    assert_int_equal(bid.amount, 1ll << 40);
    assert_int_equal(bid.bids, 77);
    assert_int_equal(bid.port, 80);
    assert_int_equal(bid.kind, 9);
    assert_int_equal(bid.currency.len, 0);
}


static void
refusals(void **data)
{
    (void) data;

    refused("{}", "\"amount\" is needed");
    refused("{\"amount\":null}", "\"amount\" is needed");
    refused("{\"amount\":\"1\"}", "\"amount\" must be an integer");
    refused("{\"amount\":1.0}", "\"amount\" must be an integer");
    refused("{\"amount\":-6}", "\"amount\" must be from -5 to 1099511627776");
    refused("{\"amount\":1,\"bids\":4294967296}",
            "\"bids\" must be from 0 to 4294967295");
    refused("{\"amount\":1,\"port\":0}", "\"port\" must be from 1 to 65535");
    refused("{\"amount\":1,\"kind\":\"french\"}",
            "\"kind\" must be one of english, dutch");
    refused("{\"amount\":1,\"kind\":1}",
            "\"kind\" must be one of english, dutch");
    refused("{\"amount\":1,\"open\":1}", "\"open\" must be true or false");
    refused("{\"amount\":1,\"currency\":\"EURO\"}",
            "\"currency\" must be a string of at most 3 bytes");
    refused("{\"amount\":1,\"currency\":7}",
            "\"currency\" must be a string of at most 3 bytes");
    refused("{\"amount\":1,\"currency\":\"E\"}",
            "\"currency\" must be a string of at least 2 bytes");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(all_types),
        cmocka_unit_test(absent_stays),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
