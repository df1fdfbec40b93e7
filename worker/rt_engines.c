/*
 * The table of the engines that are compiled in, and look-ups in it.
 *
 * An engine knows core only, and the rooms below know engines only by this
 * table, so the file that names them all stands above all rooms.  To add an
 * engine, include its header and add its entry.
 */


#include "rt_auction.h"
#include "rt_engine.h"


const rt_engine_t  *rt_engines[RT_ENGINES_MAX + 1] = {
    &rt_auction_engine,
    &rt_auctions_engine,
    NULL
};


const rt_engine_t *
rt_engine_by_name(rt_str_t name)
{
    rt_uint_t  i;

    for (i = 0; rt_engines[i]; i++) {
        if (rt_str_is(name, rt_engines[i]->name)) {
            return rt_engines[i];
        }
    }

    return NULL;
}


const rt_engine_t *
rt_engine_by_id(rt_uint_t id)
{
    rt_uint_t  i;

    for (i = 0; rt_engines[i]; i++) {
        if (rt_engines[i]->id == id) {
            return rt_engines[i];
        }
    }

    return NULL;
}
