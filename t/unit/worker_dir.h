/*
 * The directory of a test, and the files in it, are removed.
 */


#ifndef _WORKER_DIR_H_INCLUDED_
#define _WORKER_DIR_H_INCLUDED_


#include <dirent.h>
#include <stdio.h>
#include <unistd.h>


static int
remove_dir(const char *dir)
{
    DIR            *d;
    char            path[512];
    struct dirent  *de;

    d = opendir(dir);

    while (d && (de = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        unlink(path);
    }

    if (d) {
        closedir(d);
    }

    return rmdir(dir);
}


#endif /* _WORKER_DIR_H_INCLUDED_ */
