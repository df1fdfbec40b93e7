/*
 * yajl's callbacks build the array of nodes.
 *
 * yajl allocates for every parse.  It gets its memory from an arena, which is
 * reset before the next parse; what does not fit there comes from malloc() and
 * is kept in a list until then.
 */


#include <stdio.h>
#include <yajl/yajl_parse.h>

#include "rt_json.h"
#include "rt_utf8.h"


struct rt_json_block_s {
    rt_json_block_t  *next;
    size_t            size;
};


typedef struct {
    rt_json_t        *js;
    const u_char     *start;                /* of the text */
    size_t            len;
    rt_str_t          name;                 /* of the value to come */
    rt_uint_t         depth;
    uint32_t          open[RT_JSON_DEPTH_MAX];      /* containers */
    uint32_t          last[RT_JSON_DEPTH_MAX];      /* their last children */
    const char       *error;
} rt_json_parser_t;


static void *
rt_json_alloc(void *ctx, size_t size)
{
    size_t            total;
    rt_json_t        *js;
    rt_json_block_t  *b;

    js = ctx;
    total = rt_align(size + sizeof(rt_json_block_t), 16);

    rt_assert(js->arena_used <= RT_JSON_ARENA);

    if (total <= RT_JSON_ARENA - js->arena_used) {
        b = (rt_json_block_t *) (js->arena + js->arena_used);
        js->arena_used += total;

    } else {
        b = rt_malloc(total);
        b->next = js->blocks;
        js->blocks = b;
    }

    b->size = size;

    return b + 1;
}


static void
rt_json_release(void *ctx, void *p)
{
    (void) ctx;
    (void) p;
}


static void *
rt_json_realloc(void *ctx, void *p, size_t size)
{
    void             *new;
    rt_json_block_t  *b;

    new = rt_json_alloc(ctx, size);

    if (p != NULL) {
        b = (rt_json_block_t *) p - 1;
        memcpy(new, p, rt_min(b->size, size));
    }

    return new;
}


static void
rt_json_reset(rt_json_t *js)
{
    rt_json_block_t  *b;

    while (js->blocks) {
        b = js->blocks;
        js->blocks = b->next;
        free(b);
    }

    js->arena_used = 0;
}


void
rt_json_free(rt_json_t *js)
{
    rt_json_reset(js);

    free(js->nodes);
    free(js->arena);
    memset(js, 0, sizeof(rt_json_t));
}


static rt_json_node_t *
rt_json_add(rt_json_parser_t *ps, rt_json_type_e type)
{
    uint32_t         n, last;
    rt_json_t       *js;
    rt_json_node_t  *node, *parent;

    js = ps->js;

    if (js->n == RT_JSON_NODES_MAX) {
        ps->error = "too many values";
        return NULL;
    }

    n = (uint32_t) js->n++;
    node = &js->nodes[n];

    node->type = type;
    node->next = 0;
    node->count = 0;
    node->number = 0;
    node->string.len = 0;
    node->string.data = (const u_char *) "";
    node->name.len = 0;
    node->name.data = (const u_char *) "";

    if (ps->depth) {
        parent = &js->nodes[ps->open[ps->depth - 1]];
        last = ps->last[ps->depth - 1];

        if (parent->type == RT_JSON_OBJECT) {
            node->name = ps->name;
        }

        if (last) {
            js->nodes[last].next = n;
        }

        ps->last[ps->depth - 1] = n;
        parent->count++;

    } else if (type != RT_JSON_OBJECT) {
        ps->error = "not an object";
        return NULL;
    }

    return node;
}


/*
 * What yajl had to unescape lies in its own buffer, which it uses again.  It
 * takes encoded surrogates for UTF-8, and what was escaped may be anything.
 */

static rt_int_t
rt_json_keep(rt_json_parser_t *ps, rt_str_t *s, const u_char *p, size_t len)
{
    u_char  *copy;

    s->len = len;
    s->data = p;

    if (!rt_utf8_is_text(*s)) {
        ps->error = "a string is not UTF-8 without control characters";
        return RT_DECLINED;
    }

    if (p < ps->start || p > ps->start + ps->len) {
        copy = rt_json_alloc(ps->js, len);
        memcpy(copy, p, len);
        s->data = copy;
    }

    return RT_OK;
}


static int
rt_json_on_null(void *ctx)
{
    return rt_json_add(ctx, RT_JSON_NULL) != NULL;
}


static int
rt_json_on_bool(void *ctx, int value)
{
    rt_json_node_t  *node;

    node = rt_json_add(ctx, RT_JSON_BOOL);

    if (node == NULL) {
        return 0;
    }

    node->number = value;

    return 1;
}


static int
rt_json_on_integer(void *ctx, long long value)
{
    rt_json_node_t  *node;

    node = rt_json_add(ctx, RT_JSON_INTEGER);

    if (node == NULL) {
        return 0;
    }

    node->number = value;

    return 1;
}


static int
rt_json_on_real(void *ctx, double value)
{
    (void) value;

    return rt_json_add(ctx, RT_JSON_REAL) != NULL;
}


static int
rt_json_on_string(void *ctx, const u_char *p, size_t len)
{
    rt_json_node_t  *node;

    node = rt_json_add(ctx, RT_JSON_STRING);

    if (node == NULL) {
        return 0;
    }

    return rt_json_keep(ctx, &node->string, p, len) == RT_OK;
}


static int
rt_json_on_key(void *ctx, const u_char *p, size_t len)
{
    uint32_t           i;
    rt_json_parser_t  *ps;

    ps = ctx;

    if (rt_json_keep(ps, &ps->name, p, len) != RT_OK) {
        return 0;
    }

    i = ps->open[ps->depth - 1];

    if (ps->js->nodes[i].count == 0) {
        return 1;
    }

    if (ps->js->nodes[i].count == RT_JSON_KEYS_MAX) {
        ps->error = "too many keys";
        return 0;
    }

    for (i++; i; i = ps->js->nodes[i].next) {
        if (rt_str_eq(ps->js->nodes[i].name, ps->name)) {
            ps->error = "duplicate key";
            return 0;
        }
    }

    return 1;
}


static int
rt_json_open(rt_json_parser_t *ps, rt_json_type_e type)
{
    rt_json_node_t  *node;

    if (ps->depth == RT_JSON_DEPTH_MAX) {
        ps->error = "nested too deep";
        return 0;
    }

    node = rt_json_add(ps, type);

    if (node == NULL) {
        return 0;
    }

    ps->open[ps->depth] = (uint32_t) (node - ps->js->nodes);
    ps->last[ps->depth] = 0;
    ps->depth++;

    return 1;
}


static int
rt_json_on_object(void *ctx)
{
    return rt_json_open(ctx, RT_JSON_OBJECT);
}


static int
rt_json_on_array(void *ctx)
{
    return rt_json_open(ctx, RT_JSON_ARRAY);
}


static int
rt_json_on_close(void *ctx)
{
    ((rt_json_parser_t *) ctx)->depth--;

    return 1;
}


static const yajl_callbacks  rt_json_callbacks = {
    rt_json_on_null, rt_json_on_bool, rt_json_on_integer, rt_json_on_real,
    NULL, rt_json_on_string, rt_json_on_object, rt_json_on_key,
    rt_json_on_close, rt_json_on_array, rt_json_on_close
};


static void
rt_json_explain(rt_json_parser_t *ps, yajl_handle h, size_t at)
{
    char       *text, *end;
    rt_json_t  *js;

    js = ps->js;
    js->error_at = rt_min(at, ps->len);

    if (ps->error) {
        snprintf(js->error, sizeof(js->error), "%s at byte %zu",
                 ps->error, js->error_at);
        return;
    }

    text = (char *) yajl_get_error(h, 0, ps->start, ps->len);

    end = strchr(text, '\n');
    if (end) {
        *end = '\0';
    }

    snprintf(js->error, sizeof(js->error), "%.100s at byte %zu",
             text, js->error_at);
}


static void
rt_json_prepare(rt_json_t *js)
{
    if (js->nodes == NULL) {
        js->nodes = rt_malloc(RT_JSON_NODES_MAX * sizeof(rt_json_node_t));
        js->arena = rt_malloc(RT_JSON_ARENA);
    }

    rt_json_reset(js);

    js->n = 0;
    js->error[0] = '\0';
    js->error_at = 0;
}


rt_int_t
rt_json_parse(rt_json_t *js, const u_char *p, size_t n)
{
    size_t            i;
    yajl_handle       h;
    yajl_status       st;
    rt_json_parser_t  ps;
    yajl_alloc_funcs  alloc = { rt_json_alloc, rt_json_realloc,
                                rt_json_release, js };

    rt_json_prepare(js);

    memset(&ps, 0, offsetof(rt_json_parser_t, open));
    ps.js = js;
    ps.start = p;
    ps.len = n;
    ps.error = NULL;

    h = yajl_alloc(&rt_json_callbacks, &alloc, &ps);

    /* yajl takes \v and \f for white space; RFC 8259, 2 does not */

    for (i = 0; i < n; i++) {
        if (p[i] == '\v' || p[i] == '\f') {
            ps.error = "invalid character";
            rt_json_explain(&ps, h, i);
            return RT_DECLINED;
        }
    }

    st = yajl_parse(h, p, n);

    if (st != yajl_status_ok) {
        rt_json_explain(&ps, h, yajl_get_bytes_consumed(h));
        return RT_DECLINED;
    }

    if (yajl_complete_parse(h) != yajl_status_ok) {
        rt_json_explain(&ps, h, n);
        return RT_DECLINED;
    }

    if (js->n == 0) {
        snprintf(js->error, sizeof(js->error), "no value");
        return RT_DECLINED;
    }

    return RT_OK;
}


rt_json_node_t *
rt_json_get(const rt_json_t *js, const rt_json_node_t *object, const char *name)
{
    rt_json_node_t  *node;

    if (object->type != RT_JSON_OBJECT) {
        return NULL;
    }

    for (node = rt_json_first(js, object); node; node = rt_json_next(js, node))
    {
        if (rt_str_is(node->name, name)) {
            return node;
        }
    }

    return NULL;
}


void
rt_json_string(rt_buf_t *b, rt_str_t s)
{
    u_char         c, *d;
    const u_char  *p, *last;

    static const char  hex[] = "0123456789abcdef";

    /* the worst is \u00xx for each */

    d = rt_buf_reserve(b, s.len * 6 + 2);
    *d++ = '"';

    p = s.data;

    for (last = p + s.len; p < last; p++) {
        c = *p;

        if (rt_likely(c >= 0x20 && c != '"' && c != '\\')) {
            *d++ = c;
            continue;
        }

        *d++ = '\\';

        switch (c) {

        case '"':
        case '\\':
            *d++ = c;
            break;

        case '\n':
            *d++ = 'n';
            break;

        case '\r':
            *d++ = 'r';
            break;

        case '\t':
            *d++ = 't';
            break;

        default:
            *d++ = 'u';
            *d++ = '0';
            *d++ = '0';
            *d++ = (u_char) hex[c >> 4];
            *d++ = (u_char) hex[c & 15];
        }
    }

    *d++ = '"';
    b->last = d;
}


void
rt_json_error(rt_buf_t *b, const char *code, const char *message)
{
    rt_str_t  s;

    rt_buf_literal(b, "{\"error\":");

    s.data = (const u_char *) code;
    s.len = strlen(code);
    rt_json_string(b, s);

    rt_buf_literal(b, ",\"message\":");

    s.data = (const u_char *) message;
    s.len = strlen(message);
    rt_json_string(b, s);

    rt_buf_literal(b, "}");
}
