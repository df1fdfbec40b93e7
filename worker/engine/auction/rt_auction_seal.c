/*
 * Sealed bids: the amount is encrypted until the auction ends.
 *
 * A box is what state, journal and snapshots hold of an amount: 16 bytes of
 * nonce (the version and the seed of the command) and a libsodium secretbox.
 * The key is a hash of the daemon's secret, the auction's name and the time
 * of its creation; it is made when it is needed, and kept nowhere.
 *
 * At the end all boxes are opened at once.  A box that cannot be opened was
 * sealed with another secret: the daemon's secret was lost.  Then decide()
 * closes the auction without a winner.
 */


#include <sodium.h>

#include "rt_auction_private.h"


#define RT_AUCTION_NONCE  16                /* the rest of 24 bytes is 0 */


static void
rt_auction_seal_key(const rt_auction_t *a, const rt_input_t *in, u_char *key)
{
    u_char                    created[8];
    crypto_generichash_state  st;

    rt_set64(created, a->t.created);

    crypto_generichash_init(&st, in->secret, RT_SECRET_SIZE,
                            crypto_secretbox_KEYBYTES);
    crypto_generichash_update(&st, (const u_char *) "auction seal", 12);
    crypto_generichash_update(&st, created, sizeof(created));
    crypto_generichash_update(&st, in->entity.data, in->entity.len);
    crypto_generichash_final(&st, key, crypto_secretbox_KEYBYTES);
}


void
rt_auction_seal(const rt_auction_t *a, const rt_input_t *in, int64_t amount,
    u_char *box)
{
    u_char  key[crypto_secretbox_KEYBYTES];
    u_char  nonce[crypto_secretbox_NONCEBYTES], text[8];

    rt_assert(amount >= 0);                 /* -1 says "cannot be opened" */

    rt_auction_seal_key(a, in, key);

    /* the version makes it unique, the seed unpredictable */

    memset(nonce, 0, sizeof(nonce));
    rt_set64(nonce, in->version + 1);
    rt_set64(nonce + 8, in->seed);
    memcpy(box, nonce, RT_AUCTION_NONCE);

    rt_set64(text, (uint64_t) amount);
    crypto_secretbox_easy(box + RT_AUCTION_NONCE, text, sizeof(text), nonce,
                          key);

    sodium_memzero(key, sizeof(key));
}


int64_t
rt_auction_seal_open(const rt_auction_t *a, const rt_input_t *in,
    const u_char *box)
{
    int     rc;
    u_char  key[crypto_secretbox_KEYBYTES];
    u_char  nonce[crypto_secretbox_NONCEBYTES], text[8];

    rt_auction_seal_key(a, in, key);

    memset(nonce, 0, sizeof(nonce));
    memcpy(nonce, box, RT_AUCTION_NONCE);

    rc = crypto_secretbox_open_easy(text, box + RT_AUCTION_NONCE,
                                    RT_AUCTION_SEALED_SIZE - RT_AUCTION_NONCE,
                                    nonce, key);
    sodium_memzero(key, sizeof(key));

    return rc == 0 ? (int64_t) rt_get64(text) : -1;
}


/* the highest bid wins, the earlier of equals */

rt_auction_reveal_t
rt_auction_seal_reveal(const rt_auction_t *a, const rt_input_t *in)
{
    int64_t                     amount;
    uint32_t                    i;
    rt_auction_reveal_t         v;
    const rt_auction_bidder_t  *b;

    v.winner = NULL;
    v.best = -1;
    v.second = -1;
    v.lost = 0;

    for (i = 0; i < a->n; i++) {
        b = &a->bidders[i];

        if (!b->sealed) {
            continue;
        }

        amount = rt_auction_seal_open(a, in, b->box);

        if (amount < 0) {
            v.lost++;
            continue;
        }

        if (amount > v.best
            || (amount == v.best && b->order < v.winner->order))
        {
            v.second = v.best;
            v.best = amount;
            v.winner = b;

        } else if (amount > v.second) {
            v.second = amount;
        }
    }

    rt_assert(v.second <= v.best);

    return v;
}
