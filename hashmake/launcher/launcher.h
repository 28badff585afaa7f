/* launcher.h: what the launcher's own files share. */
#ifndef HM_LAUNCHER_H
#define HM_LAUNCHER_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "../interpose/events.h"

extern char **environ;
extern const char *run_dir; /* of this build */
extern const char *parent;  /* number of the step in which make started us */

/* ---- the supervisor (wire.c); nothing here returns when it is gone ---- */
void dial(void);
void get_all(void *to, size_t n);
void put_all(struct iovec *v, int count);
void supervisor_gone(void) __attribute__((noreturn));

/* ---- text (wire.c) ---- */
void say(const char *text);              /* to standard error */
int put_out(int fd, const char *p, size_t n); /* to a standard stream; 0, or -1 */
char *number(unsigned n, char *end);     /* decimal, ending before `end` */

/* ---- the trace of a step (trace.c) ---- */
void make_trace(unsigned step, unsigned flags); /* where that fails the supervisor finds none, and takes the step as not seen */
void record(char kind, const char *a, const char *b, const char *c);
void record_program(const char *path);
void trim_trace(void); /* its file is as long as what it holds */
void tell_unwritten(void); /* the parent step */
void record_streams(int out, int err); /* what the command has in the place of ours */
int asked_terminal(void);              /* a program of the step has asked the terminal itself */
const char *trace_records(uint64_t *tail); /* all of it, up to the offset `tail`, to be read only; NULL: not worth while */

/* ---- what the trace comes to (summary.c) ---- */
struct summary {
    uint64_t tail, generation;
    uint32_t *facts, count;
    char *text;
    size_t length;
};
int summarize(struct summary *s); /* 0: the supervisor has to read the trace itself */

/* ---- what the command prints (keep.c) ---- */
void keep_begin(int kind, unsigned flags);
void keep_child(void);                    /* in the child, before exec */
void keep_all(int child);                 /* until nothing more comes */
int keep_texts(struct iovec texts[2]);    /* what came on each stream; which are kept: HM_KEPT_... */

/* ---- running (run.c) ---- */
int run_step(uint32_t step[2], int kind, const char *path, char **argv); /* number and flags; the exit status */
int run_afar(const char *directory, const char *path, char **argv); /* on another machine; the exit status */
#endif
