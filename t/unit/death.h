/*
 * A writer that dies after any instruction; t/unit/topic.c and blob.c include
 * this in their middle.  They have the world in shared memory (sh), know how to
 * run() an operation there, and check_death() what would be left.
 */


#ifndef _DEATH_H_INCLUDED_
#define _DEATH_H_INCLUDED_


static void run(world_t *w, op_t *op);
static void check_death(void);


/* pointers of a copy */

static void
move(world_t *w)
{
    ngx_http_rt_index_t  *index;

    index = &w->store.index;

    w->store.ring.base = w->ring;
    index->cells = (ngx_http_rt_cell_t *) w->index;
    index->buckets = (uint32_t *) &index->cells[index->ncells];
}


/*
 * Runs the operation, or a repair, in a process of its own, instruction by
 * instruction, and kills it after so many; returns -1 if that cannot be done.
 */

static int
trace(int repair, unsigned upto)
{
    int    status, rc;
    pid_t  pid;

    sh->op.done = 0;

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(1);
        }

        raise(SIGSTOP);

        if (repair) {
            ngx_http_rt_topic_repair(&sh->world.store);

        } else {
            run(&sh->world, &sh->op);
        }

        sh->op.done = 1;
        _exit(0);
    }

    if (pid == -1) {
        return -1;
    }

    rc = waitpid(pid, &status, 0);

    if (rc != pid || !WIFSTOPPED(status)) {
        return -1;
    }

    memcpy(&last, &sh->world, sizeof(world_t));

    for (instruction = 1; instruction < upto && !sh->op.done; instruction++) {

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0
            || waitpid(pid, &status, 0) != pid)
        {
            return -1;
        }

        check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);

        if (memcmp(&last, &sh->world, sizeof(world_t)) != 0) {
            memcpy(&last, &sh->world, sizeof(world_t));
            check_death();
        }
    }

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    return 0;
}


static uint64_t
clock_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* writer and tracer take turns, so one processor is faster than two */

static void
stay_on_processor(void)
{
    cpu_set_t  set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    sched_setaffinity(0, sizeof(cpu_set_t), &set);
}


#endif /* _DEATH_H_INCLUDED_ */
