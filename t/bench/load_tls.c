/*
 * TLS for readers.  The handshake is done at once, one after the other; the
 * certificate is the bench's own and not looked at.
 */

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "load.h"


static SSL_CTX  *ctx;


int
load_tls_open(load_reader_t *r)
{
    SSL  *ssl;

    if (ctx == NULL) {
        ctx = SSL_CTX_new(TLS_client_method());
        if (ctx == NULL) {
            load_fail("SSL_CTX_new() failed");
        }

        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS
                              |SSL_MODE_ENABLE_PARTIAL_WRITE);
        SSL_CTX_set_read_ahead(ctx, 1);

        if (load_conf.h2) {
            SSL_CTX_set_alpn_protos(ctx, (unsigned char *) "\x02h2", 3);
        }
    }

    ssl = SSL_new(ctx);
    if (ssl == NULL || !SSL_set_fd(ssl, r->event.fd) || SSL_connect(ssl) != 1) {
        return LOAD_ERROR;
    }

    fcntl(r->event.fd, F_SETFL, O_NONBLOCK);
    r->tls = ssl;

    return LOAD_OK;
}


/* like recv(): -1 is for later, 0 the end */

ssize_t
load_tls_read(load_reader_t *r, void *buf, size_t size)
{
    int      n;
    ssize_t  len;

    len = 0;

    while (size - len > 16384) {
        n = SSL_read(r->tls, (char *) buf + len, size - len);

        if (n <= 0) {
            if (len || SSL_get_error(r->tls, n) == SSL_ERROR_WANT_READ) {
                break;
            }

            return 0;
        }

        len += n;
    }

    ERR_clear_error();

    return len ? len : -1;
}


void
load_tls_write(load_reader_t *r, const void *data, size_t len)
{
    if (SSL_write(r->tls, data, len) != (int) len) {
        load_reader_close(r, "SSL_write() failed");
    }
}
