/*
 * SipHash-1-3 against values that CPython 3.11 gives for the same bytes, with
 * two keys: PYTHONHASHSEED=0 and 1.
 *
 * Sources: ngx_http_rt_hash.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_hash.h>


static const struct {
    size_t    len;
    uint64_t  zero;                  /* with a key of zeros */
    uint64_t  one;                   /* and with the other one */
} vectors[] = {
    {   1, 0x44bc103b1f8540ed, 0xc1147c52c3233753 },
    {   2, 0x59c293a98a99f70b, 0x1492d9afb0abe793 },
    {   3, 0x711b47561b9b33e2, 0x412ee9d906bcaec1 },
    {   4, 0xd18e60eb59380f69, 0xb66559b2cddc6147 },
    {   5, 0x4983680039fb2f34, 0xb76dc865e78337de },
    {   6, 0xb646f9a3ed9bf441, 0x01ba73f37f77fbae },
    {   7, 0x9fff4ac9ef420232, 0x06d57fe30100f7b7 },
    {   8, 0xcaf590d4e8867659, 0x8597692664bda177 },
    {   9, 0xdbc958e03a783083, 0x08df24bda86fee78 },
    {  10, 0x0940e301a509d222, 0x30dfc5a4b90aa751 },
    {  16, 0xd16eb79de4d128d0, 0x0c4987b29aa63949 },
    {  17, 0x64aa3c973ae91df5, 0x8ff4046f504e2130 },
    {  20, 0xe185729804b4ac1e, 0x143026691e4cf1b9 },
    {  63, 0x1bc1438de96eb7e0, 0x2e854f9a43132836 },
    {  64, 0x5567a64c7eaaba34, 0x4ca303fd057d5a46 },
    { 255, 0x3663ed077046f580, 0x4a2d2c51e6635b3e },
};


static void
test_vectors(void **state)
{
    size_t                         i, n;
    u_char                         text[255];
    static ngx_http_rt_hash_key_t  zero;
    static ngx_http_rt_hash_key_t  one = {
        0xaed66ce184be2329, 0xebe9bbf1f1499052
    };

    (void) state;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {

        for (n = 0; n < vectors[i].len; n++) {
            text[n] = n * 7 + vectors[i].len;
        }

        assert_int_equal(ngx_http_rt_siphash(&zero, text, n),
                         vectors[i].zero);
        assert_int_equal(ngx_http_rt_siphash(&one, text, n), vectors[i].one);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
