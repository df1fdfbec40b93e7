/*
 * The versions of an If-Match.
 *
 * Sources: ngx_http_rt_versions.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_versions.h>


static const struct {
    const char  *text;
    int          n;
    uint64_t     versions[3];
} cases[] = {
    { "*", 0, { 0 } },
    { "2", 1, { 2 } },
    { "0", 1, { 0 } },
    { "\"2\"", 1, { 2 } },
    { "W/\"2\"", 1, { 2 } },
    { " \"2\" ", 1, { 2 } },
    { "\"1\",\"2\"", 2, { 1, 2 } },
    { "1, W/\"2\" ,\t\"3\"", 3, { 1, 2, 3 } },
    { ",, 7,", 1, { 7 } },
    { "18446744073709551600", 1, { 18446744073709551600ULL } },
    { "18446744073709551616", -1, { 0 } },

    { "", -1, { 0 } },
    { ",", -1, { 0 } },
    { "x", -1, { 0 } },
    { "1 2", -1, { 0 } },
    { "\"1\"\"2\"", -1, { 0 } },
    { "\"1", -1, { 0 } },
    { "1\"", -1, { 0 } },
    { "\"\"", -1, { 0 } },
    { "W/1", -1, { 0 } },
    { "W/", -1, { 0 } },
    { "w/\"1\"", -1, { 0 } },
    { "*, 1", -1, { 0 } },
    { "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", -1, { 0 } },
};


static void
lists(void **state)
{
    int       n;
    size_t    i;
    uint64_t  versions[NGX_HTTP_RT_VERSIONS_MAX];

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = ngx_http_rt_versions_parse((u_char *) cases[i].text,
                                       strlen(cases[i].text), versions);

        if (n != cases[i].n
            || (n > 0 && memcmp(versions, cases[i].versions,
                                n * sizeof(uint64_t)) != 0))
        {
            fail_msg("%s: %d", cases[i].text, n);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
