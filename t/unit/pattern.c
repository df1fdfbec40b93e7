/*
 * Topics and patterns: what is valid, what matches, where the head ends.
 *
 * Sources: ngx_http_rt_pattern.c ngx_http_rt_rule.c ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_rule.h>


#define CONTROL    "topic has a control character"
#define COMMA      "topic has a comma"
#define EMPTY      "topic has an empty segment"
#define STAR       "topic has a star"
#define MISPLACED  "topic has a star in the wrong place"
#define UTF8       "topic is not valid UTF-8"


typedef struct {
    const char  *name;
    const char  *topic;              /* reason as a topic */
    const char  *pattern;            /* reason as a pattern */
    unsigned     wild;
} pattern_check_t;


typedef struct {
    const char  *pattern;
    const char  *topic;
    int          match;
} pattern_match_t;


static const pattern_check_t  checks[] = {
    { "a", NULL, NULL, 0 },
    { "chat/42", NULL, NULL, 0 },
    { "a/b/c/d/e", NULL, NULL, 0 },
    { " ", NULL, NULL, 0 },
    { "with space/and+plus?&=%", NULL, NULL, 0 },
    { "k\xc3\xa4se/\xe2\x82\xac/\xf0\x9f\x8e\xb2", NULL, NULL, 0 },
    { "\xc2\xa0", NULL, NULL, 0 },

    { "", "topic is empty", "topic is empty", 0 },
    { "/", EMPTY, EMPTY, 0 },
    { "/a", EMPTY, EMPTY, 0 },
    { "a/", EMPTY, EMPTY, 0 },
    { "a//b", EMPTY, EMPTY, 0 },
    { "*/", STAR, EMPTY, 0 },
    { "a,b", COMMA, COMMA, 0 },
    { "a\nb", CONTROL, CONTROL, 0 },
    { "\x01", CONTROL, CONTROL, 0 },
    { "a\x1f", CONTROL, CONTROL, 0 },
    { "a\x7f", CONTROL, CONTROL, 0 },
    { "a\xc2\x80", CONTROL, CONTROL, 0 },
    { "\xc2\x9f/a", CONTROL, CONTROL, 0 },
    { "\xff", UTF8, UTF8, 0 },
    { "a\xc3", UTF8, UTF8, 0 },
    { "\xed\xa0\x80", UTF8, UTF8, 0 },

    { "*", STAR, NULL, 1 },
    { "**", STAR, NULL, 1 },
    { "*/x", STAR, NULL, 1 },
    { "chat/*", STAR, NULL, 1 },
    { "chat/**", STAR, NULL, 1 },
    { "chat/ab*", STAR, NULL, 1 },
    { "chat/ab*/x*/**", STAR, NULL, 1 },
    { "*/*/*", STAR, NULL, 1 },

    { "***", STAR, MISPLACED, 0 },
    { "**/a", STAR, MISPLACED, 0 },
    { "a/**/b", STAR, MISPLACED, 0 },
    { "a**", STAR, MISPLACED, 0 },
    { "a/b**", STAR, MISPLACED, 0 },
    { "*a", STAR, MISPLACED, 0 },
    { "a*b", STAR, MISPLACED, 0 },
    { "a/*b/c", STAR, MISPLACED, 0 },
    { "*a*", STAR, MISPLACED, 0 },
};


static const pattern_match_t  matches[] = {
    { "a", "a", 1 },
    { "a", "b", 0 },
    { "a", "ab", 0 },
    { "ab", "a", 0 },
    { "a/b", "a/b", 1 },
    { "a", "a/b", 0 },
    { "a/b", "a", 0 },

    { "*", "a", 1 },
    { "*", "abc", 1 },
    { "*", "a/b", 0 },
    { "*/b", "a/b", 1 },
    { "*/b", "a/c", 0 },
    { "*/b", "a", 0 },
    { "a/*", "a/b", 1 },
    { "a/*", "a", 0 },
    { "a/*", "a/b/c", 0 },
    { "a/*/c", "a/b/c", 1 },
    { "a/*/c", "a/b/d", 0 },
    { "*/*", "a/b", 1 },
    { "*/*", "a", 0 },
    { "*/*", "a/b/c", 0 },

    { "abc*", "abc", 1 },
    { "abc*", "abcd", 1 },
    { "abc*", "ab", 0 },
    { "abc*", "abd", 0 },
    { "abc*", "abc/d", 0 },
    { "a/b*", "a/b", 1 },
    { "a/b*", "a/", 0 },
    { "a/b*/c", "a/bx/c", 1 },
    { "a/b*/c", "a/x/c", 0 },
    { "a*/b*", "ax/by", 1 },

    { "**", "", 0 },
    { "**", "a", 1 },
    { "**", "a/b/c", 1 },
    { "a/**", "a", 0 },
    { "a/**", "a/b", 1 },
    { "a/**", "a/b/c/d", 1 },
    { "a/**", "ab/c", 0 },
    { "*/**", "a", 0 },
    { "*/**", "a/b", 1 },
    { "*/x*/**", "a/xy/b/c", 1 },
    { "*/x*/**", "a/xy", 0 },

    { "k\xc3\xa4*", "k\xc3\xa4se", 1 },
};


static void
expect(const char *reason, const char *want, const char *name)
{
    if (want == NULL ? reason != NULL
                     : (reason == NULL || strcmp(reason, want) != 0))
    {
        fail_msg("\"%s\": %s, should be %s", name, reason ? reason : "valid",
                 want ? want : "valid");
    }
}


static void
test_check(void **state)
{
    size_t                  i, len;
    unsigned                wild;
    const char             *reason;
    const u_char           *p;
    const pattern_check_t  *c;

    (void) state;

    for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        c = &checks[i];
        p = (const u_char *) c->name;
        len = strlen(c->name);

        expect(ngx_http_rt_rule_topic(p, len), c->topic, c->name);

        wild = 7;
        reason = ngx_http_rt_rule_pattern(p, len, &wild);

        expect(reason, c->pattern, c->name);
        assert_int_equal(wild, reason ? 7 : c->wild);
    }

    assert_non_null(ngx_http_rt_rule_topic((const u_char *) "a\0b", 3));
}


static void
test_length(void **state)
{
    u_char    buf[NGX_HTTP_RT_TOPIC_MAX + 1];
    unsigned  wild;

    (void) state;

    memset(buf, 'a', sizeof(buf));

    assert_null(ngx_http_rt_rule_topic(buf, NGX_HTTP_RT_TOPIC_MAX));
    assert_null(ngx_http_rt_rule_pattern(buf, NGX_HTTP_RT_TOPIC_MAX, &wild));

    expect(ngx_http_rt_rule_topic(buf, sizeof(buf)),
           "topic is longer than 255 bytes", "256 bytes");
    expect(ngx_http_rt_rule_pattern(buf, sizeof(buf), &wild),
           "topic is longer than 255 bytes", "256 bytes");
}


static void
test_match(void **state)
{
    int                     rc;
    size_t                  i, plen, tlen;
    u_char                 *pattern, *topic;
    unsigned                wild;
    const pattern_match_t  *m;

    (void) state;

    for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        m = &matches[i];

        plen = strlen(m->pattern);
        tlen = strlen(m->topic);

        /* copies of their own sizes: whoever reads beyond is caught */

        pattern = malloc(plen);
        topic = malloc(tlen + 1);
        memcpy(pattern, m->pattern, plen);
        memcpy(topic + 1, m->topic, tlen);

        assert_null(ngx_http_rt_rule_pattern(pattern, plen, &wild));

        rc = ngx_http_rt_pattern_match(pattern, plen, topic + 1, tlen);

        free(pattern);
        free(topic);

        if (rc != m->match) {
            fail_msg("\"%s\" and \"%s\": %d", m->pattern, m->topic, rc);
        }
    }
}


static void
test_head(void **state)
{
    size_t  i;
    static const struct {
        const char  *pattern;
        size_t       head;
    } heads[] = {
        { "chat/42/**", 7 },
        { "*/x", 0 },
        { "chat/ab*", 4 },
        { "chat/42", 7 },
        { "chat", 4 },
        { "*", 0 },
        { "**", 0 },
        { "ab*", 0 },
        { "a/*/c", 1 },
        { "a/b/c*/d/**", 3 },
    };

    (void) state;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        assert_int_equal(ngx_http_rt_pattern_head(
                                           (const u_char *) heads[i].pattern,
                                           strlen(heads[i].pattern)),
                         heads[i].head);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_head),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
