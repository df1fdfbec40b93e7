/*
 * Offers of permessage-deflate: the examples of RFC 7692, 7.1 and RFC 6455,
 * 9.1, each parameter at its edges, and what is malformed.
 *
 * Sources: ngx_http_rt_ws_extension.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_ws_extension.h>


#define NONE  "permessage-deflate; server_no_context_takeover; "              \
              "client_no_context_takeover"
#define BITS  NONE "; server_max_window_bits="


typedef struct {
    const char  *offer;
    const char  *answer;             /* NULL: declined */
} offer_t;


/* the value is followed by nothing, so that a sanitizer sees a step too far */

static const char *
answer_to(const char *offer)
{
    int                       rc;
    size_t                    len;
    u_char                   *p, *end;
    ngx_http_rt_ws_deflate_t  deflate;

    static u_char  answer[NGX_HTTP_RT_WS_EXTENSION_LEN];

    len = strlen(offer);
    p = malloc(len ? len : 1);
    memcpy(p, offer, len);
    memset(&deflate, 0xff, sizeof(ngx_http_rt_ws_deflate_t));

    rc = ngx_http_rt_ws_extension_parse(p, len, &deflate);

    free(p);

    if (rc == 0) {
        return NULL;
    }

    assert_int_equal(rc, 1);

    end = ngx_http_rt_ws_extension_write(answer, &deflate);
    assert_true(end < answer + sizeof(answer));
    *end = '\0';

    return (char *) answer;
}


static void
check(const offer_t *offers, size_t n)
{
    size_t       i;
    const char  *answer;

    for (i = 0; i < n; i++) {
        answer = answer_to(offers[i].offer);

        if ((answer == NULL) != (offers[i].answer == NULL)
            || (answer && strcmp(answer, offers[i].answer) != 0))
        {
            fail_msg("\"%s\": \"%s\"", offers[i].offer,
                     answer ? answer : "(declined)");
        }
    }
}


static void
test_accepted(void **state)
{
    static const offer_t  offers[] = {

        /* RFC 7692, 7.1.1 to 7.1.3 */

        { "permessage-deflate", NONE },
        { "permessage-deflate; server_no_context_takeover", NONE },
        { "permessage-deflate; client_no_context_takeover", NONE },
        { "permessage-deflate; server_max_window_bits=10", BITS "10" },
        { "permessage-deflate; client_max_window_bits", NONE },
        { "permessage-deflate; client_max_window_bits=10", NONE },
        { "permessage-deflate; client_max_window_bits; "
          "server_max_window_bits=10", BITS "10" },
        { "permessage-deflate; client_max_window_bits; "
          "server_max_window_bits=10, "
          "permessage-deflate; client_max_window_bits", BITS "10" },
        { "permessage-deflate; server_no_context_takeover; "
          "client_no_context_takeover; server_max_window_bits=8; "
          "client_max_window_bits=8", BITS "8" },

        /* the edges, and another order */

        { "permessage-deflate; server_max_window_bits=8", BITS "8" },
        { "permessage-deflate; server_max_window_bits=9", BITS "9" },
        { "permessage-deflate; server_max_window_bits=15", BITS "15" },
        { "permessage-deflate; client_max_window_bits=15", NONE },
        { "permessage-deflate; client_no_context_takeover; "
          "server_max_window_bits=12; server_no_context_takeover",
          BITS "12" },

        /* a quoted value, capitals, blanks or none of them */

        { "permessage-deflate; server_max_window_bits=\"10\"", BITS "10" },
        { "permessage-deflate; client_max_window_bits=\"9\"", NONE },
        { "Permessage-Deflate; SERVER_max_window_bits=11", BITS "11" },
        { "permessage-deflate;server_max_window_bits=10", BITS "10" },
        { " \tpermessage-deflate \t;\t server_max_window_bits = 10 \t",
          BITS "10" },

        /* the first that is acceptable, among others */

        { "x-webkit-deflate-frame, permessage-deflate", NONE },
        { "permessage-foo; use_y, permessage-deflate", NONE },
        { "foo; a=\"b,permessage-bar;c\", permessage-deflate", NONE },
        { "permessage-deflate; what, permessage-deflate", NONE },
        { "permessage-deflate; server_max_window_bits=7, "
          "permessage-deflate; server_max_window_bits=9", BITS "9" },
        { "permessage-deflate; server_max_window_bits=7, "
          "permessage-deflate", NONE },
        { "permessage-deflate, permessage-deflate; "
          "server_max_window_bits=10", NONE },
        { ",, permessage-deflate,", NONE },
    };

    (void) state;

    check(offers, sizeof(offers) / sizeof(offers[0]));
}


static void
test_declined(void **state)
{
    static const offer_t  offers[] = {
        { "", NULL },
        { " ", NULL },
        { ",", NULL },
        { ";", NULL },
        { "=", NULL },
        { "\"", NULL },

        /* something else */

        { "permessage-bzip2", NULL },
        { "permessage-deflat", NULL },
        { "permessage-deflate2", NULL },
        { "x-permessage-deflate", NULL },
        { "permessage-deflate=1", NULL },
        { "permessage-deflate=", NULL },
        { "permessage-deflate permessage-deflate", NULL },
        { "foo; permessage-deflate", NULL },
        { "foo; a=\"b, permessage-deflate\"", NULL },
        { "foo; a=\"b\\\", permessage-deflate, c\\\"\"", NULL },

        /* RFC 7692, 7.1: unknown, given twice, a value out of place */

        { "permessage-deflate; what", NULL },
        { "permessage-deflate; what=1", NULL },
        { "permessage-deflate; server_no_context_takeover; "
          "server_no_context_takeover", NULL },
        { "permessage-deflate; client_no_context_takeover; "
          "client_no_context_takeover", NULL },
        { "permessage-deflate; server_max_window_bits=10; "
          "server_max_window_bits=10", NULL },
        { "permessage-deflate; client_max_window_bits; "
          "client_max_window_bits=10", NULL },
        { "permessage-deflate; server_no_context_takeover=1", NULL },
        { "permessage-deflate; server_no_context_takeover=", NULL },
        { "permessage-deflate; client_no_context_takeover=true", NULL },
        { "permessage-deflate; server_max_window_bits", NULL },

        /* 7.1.2: 8 to 15, decimal, no leading zeros */

        { "permessage-deflate; server_max_window_bits=", NULL },
        { "permessage-deflate; server_max_window_bits=\"\"", NULL },
        { "permessage-deflate; server_max_window_bits=0", NULL },
        { "permessage-deflate; server_max_window_bits=7", NULL },
        { "permessage-deflate; server_max_window_bits=16", NULL },
        { "permessage-deflate; server_max_window_bits=20", NULL },
        { "permessage-deflate; server_max_window_bits=08", NULL },
        { "permessage-deflate; server_max_window_bits=010", NULL },
        { "permessage-deflate; server_max_window_bits=100", NULL },
        { "permessage-deflate; server_max_window_bits=+9", NULL },
        { "permessage-deflate; server_max_window_bits=-9", NULL },
        { "permessage-deflate; server_max_window_bits=9.0", NULL },
        { "permessage-deflate; server_max_window_bits=0x9", NULL },
        { "permessage-deflate; server_max_window_bits=1:", NULL },
        { "permessage-deflate; server_max_window_bits=1/", NULL },
        { "permessage-deflate; server_max_window_bits=:", NULL },
        { "permessage-deflate; client_max_window_bits=", NULL },
        { "permessage-deflate; client_max_window_bits=7", NULL },
        { "permessage-deflate; client_max_window_bits=16", NULL },
        { "permessage-deflate; client_max_window_bits=08", NULL },

        /* malformed */

        { "permessage-deflate;", NULL },
        { "permessage-deflate; ; client_max_window_bits", NULL },
        { "permessage-deflate; =10", NULL },
        { "permessage-deflate; server_max_window_bits=\"10", NULL },
        { "permessage-deflate; server_max_window_bits=\"10\\", NULL },
        { "permessage-deflate; server_max_window_bits=10\"", NULL },
        { "permessage-deflate; server_max_window_bits=\"10\"0", NULL },
        { "permessage-deflate; server_max_window_bits=10 10", NULL },
        { "permessage-deflate; server_max_window_bits==10", NULL },
        { "permessage-deflate; client_max_window_bits 10", NULL },
        { "permessage-deflate / client_max_window_bits", NULL },
    };

    (void) state;

    check(offers, sizeof(offers) / sizeof(offers[0]));
}


/* what we answer, a client might offer: it says the same */

static void
test_answers(void **state)
{
    u_char                    answer[NGX_HTTP_RT_WS_EXTENSION_LEN], *end;
    unsigned                  bits;
    ngx_http_rt_ws_deflate_t  deflate, again;

    (void) state;

    for (bits = NGX_HTTP_RT_WS_WINDOW_MIN;
         bits <= NGX_HTTP_RT_WS_WINDOW_MAX;
         bits++)
    {
        deflate.window = bits;
        deflate.window_given = 1;

        end = ngx_http_rt_ws_extension_write(answer, &deflate);

        assert_int_equal(ngx_http_rt_ws_extension_parse(answer, end - answer,
                                                        &again), 1);
        assert_int_equal(again.window, bits);
        assert_int_equal(again.window_given, 1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_declined),
        cmocka_unit_test(test_answers),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
