/*
 * Offers of permessage-deflate (RFC 7692, 5.1 and 7.1).
 *
 * An offer with a parameter that is unknown, given twice, or out of range is
 * declined as a whole, and the next one is looked at.
 */

#include <string.h>
#include <strings.h>

#include "ngx_http_rt_ws_extension.h"


#define NGX_HTTP_RT_WS_SERVER_TAKEOVER  0x01
#define NGX_HTTP_RT_WS_CLIENT_TAKEOVER  0x02
#define NGX_HTTP_RT_WS_SERVER_WINDOW    0x04
#define NGX_HTTP_RT_WS_CLIENT_WINDOW    0x08


typedef struct {
    const u_char  *name;
    size_t         name_len;
    const u_char  *value;            /* NULL: none */
    size_t         value_len;
} ngx_http_rt_ws_param_t;


static const u_char *ngx_http_rt_ws_extension_offer(const u_char *p,
    const u_char *last, ngx_http_rt_ws_deflate_t *deflate, int *accepted);
static const u_char *ngx_http_rt_ws_extension_param(const u_char *p,
    const u_char *last, ngx_http_rt_ws_param_t *param);
static unsigned ngx_http_rt_ws_extension_apply(ngx_http_rt_ws_param_t *param,
    ngx_http_rt_ws_deflate_t *deflate);
static unsigned ngx_http_rt_ws_extension_window(const u_char *p, size_t len);
static const u_char *ngx_http_rt_ws_extension_space(const u_char *p,
    const u_char *last);
static int ngx_http_rt_ws_extension_is(ngx_http_rt_ws_param_t *param,
    const char *name);


int
ngx_http_rt_ws_extension_parse(const u_char *p, size_t len,
    ngx_http_rt_ws_deflate_t *deflate)
{
    int            accepted;
    const u_char  *last;

    last = p + len;

    while (p < last) {
        p = ngx_http_rt_ws_extension_offer(p, last, deflate, &accepted);

        if (accepted) {
            return 1;
        }
    }

    return 0;
}


u_char *
ngx_http_rt_ws_extension_write(u_char *p,
    const ngx_http_rt_ws_deflate_t *deflate)
{
    static const char  answer[] = "permessage-deflate; "
                                  "server_no_context_takeover; "
                                  "client_no_context_takeover";
    static const char  window[] = "; server_max_window_bits=";

    memcpy(p, answer, sizeof(answer) - 1);
    p += sizeof(answer) - 1;

    if (deflate->window_given) {
        memcpy(p, window, sizeof(window) - 1);
        p += sizeof(window) - 1;

        if (deflate->window >= 10) {
            *p++ = '1';
        }

        *p++ = '0' + deflate->window % 10;
    }

    return p;
}


/* one offer, up to behind its comma */

static const u_char *
ngx_http_rt_ws_extension_offer(const u_char *p, const u_char *last,
    ngx_http_rt_ws_deflate_t *deflate, int *accepted)
{
    unsigned                seen, bit;
    ngx_http_rt_ws_param_t  param;

    deflate->window = NGX_HTTP_RT_WS_WINDOW_MAX;
    deflate->window_given = 0;

    p = ngx_http_rt_ws_extension_param(p, last, &param);

    *accepted = (ngx_http_rt_ws_extension_is(&param, "permessage-deflate")
                 && param.value == NULL);
    seen = 0;

    while (p < last && *p != ',') {

        if (*p != ';') {

            /* what is neither the end nor a parameter spoils the offer */

            *accepted = 0;
            p++;
            continue;
        }

        p = ngx_http_rt_ws_extension_param(p + 1, last, &param);

        bit = ngx_http_rt_ws_extension_apply(&param, deflate);

        if (bit == 0 || (seen & bit)) {
            *accepted = 0;
        }

        seen |= bit;
    }

    return (p < last) ? p + 1 : p;
}


/* name, and perhaps "=" and a token or a quoted string */

static const u_char *
ngx_http_rt_ws_extension_param(const u_char *p, const u_char *last,
    ngx_http_rt_ws_param_t *param)
{
    p = ngx_http_rt_ws_extension_space(p, last);

    param->name = p;

    while (p < last && *p != ';' && *p != ',' && *p != '=' && *p != ' '
           && *p != '\t')
    {
        p++;
    }

    param->name_len = p - param->name;
    param->value = NULL;
    param->value_len = 0;

    p = ngx_http_rt_ws_extension_space(p, last);

    if (p == last || *p != '=') {
        return p;
    }

    p = ngx_http_rt_ws_extension_space(p + 1, last);

    if (p < last && *p == '"') {
        param->value = ++p;

        while (p < last && *p != '"') {
            p += (*p == '\\' && last - p > 1) ? 2 : 1;
        }

        /* without its end it has no value that anybody would take */

        if (p == last) {
            return p;
        }

        param->value_len = p - param->value;

        return ngx_http_rt_ws_extension_space(p + 1, last);
    }

    param->value = p;

    while (p < last && *p != ';' && *p != ',' && *p != ' ' && *p != '\t') {
        p++;
    }

    param->value_len = p - param->value;

    return ngx_http_rt_ws_extension_space(p, last);
}


/* the parameter's bit, or 0 if it is not acceptable */

static unsigned
ngx_http_rt_ws_extension_apply(ngx_http_rt_ws_param_t *param,
    ngx_http_rt_ws_deflate_t *deflate)
{
    if (ngx_http_rt_ws_extension_is(param, "server_no_context_takeover")) {
        return param->value ? 0 : NGX_HTTP_RT_WS_SERVER_TAKEOVER;
    }

    if (ngx_http_rt_ws_extension_is(param, "client_no_context_takeover")) {
        return param->value ? 0 : NGX_HTTP_RT_WS_CLIENT_TAKEOVER;
    }

    if (ngx_http_rt_ws_extension_is(param, "client_max_window_bits")) {

        /* only a limit that it would take; the inflater takes any window */

        if (param->value
            && ngx_http_rt_ws_extension_window(param->value,
                                               param->value_len) == 0)
        {
            return 0;
        }

        return NGX_HTTP_RT_WS_CLIENT_WINDOW;
    }

    if (ngx_http_rt_ws_extension_is(param, "server_max_window_bits")
        && param->value)
    {
        deflate->window = ngx_http_rt_ws_extension_window(param->value,
                                                          param->value_len);
        deflate->window_given = 1;

        return deflate->window ? NGX_HTTP_RT_WS_SERVER_WINDOW : 0;
    }

    return 0;
}


/* 8 to 15 without leading zeros, else 0 */

static unsigned
ngx_http_rt_ws_extension_window(const u_char *p, size_t len)
{
    if (len == 1 && (*p == '8' || *p == '9')) {
        return *p - '0';
    }

    if (len == 2 && p[0] == '1' && p[1] >= '0' && p[1] <= '5') {
        return 10 + p[1] - '0';
    }

    return 0;
}


static const u_char *
ngx_http_rt_ws_extension_space(const u_char *p, const u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


static int
ngx_http_rt_ws_extension_is(ngx_http_rt_ws_param_t *param, const char *name)
{
    return param->name_len == strlen(name)
           && strncasecmp((const char *) param->name, name, param->name_len)
              == 0;
}
