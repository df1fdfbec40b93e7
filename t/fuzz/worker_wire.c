/*
 * The link's frames: a frame that is accepted lies within its bytes, is
 * accepted whatever follows it, and not before it is whole.
 *
 * Sources: rt_wire.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rt_wire.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               rc;
    u_char           *cut;
    unsigned          i;
    rt_wire_str_t     s;
    rt_wire_frame_t   f, g;

    while (rt_wire_parse(&f, data, size, RT_WIRE_FRAME_MAX) == RT_WIRE_OK) {

        if (f.size > size || f.size < RT_WIRE_HEADER_SIZE) {
            abort();
        }

        for (i = RT_WIRE_F_STRING; i <= RT_WIRE_F_MAX; i++) {
            s = rt_wire_string(&f, (rt_wire_field_e) i);

            if (s.len && (s.data < data || s.data + s.len > data + f.size)) {
                abort();
            }
        }

        cut = malloc(f.size);
        memcpy(cut, data, f.size - 1);
        rc = rt_wire_parse(&g, cut, f.size - 1, RT_WIRE_FRAME_MAX);
        free(cut);

        if (rc != RT_WIRE_AGAIN) {
            abort();
        }

        data += f.size;
        size -= f.size;
    }

    return 0;
}
