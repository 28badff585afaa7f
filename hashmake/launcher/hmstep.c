/* hmstep: the step launcher. make starts it in place of each command; it asks the supervisor, then runs the command or
 * reports the remembered result. Knows the protocol of events.h, nothing of verdicts.
 *
 * It is linked statically where that is possible: it is started once for every step, and a dynamic start costs more
 * than everything else it does. For the same reason it uses no stdio and no malloc before a step is known to run. */
#include "launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void ask(int kind, char **argv, const char *recipe, const char *echo)
{
    char cwd[PATH_MAX];
    if (!getcwd(cwd, sizeof cwd))
        strcpy(cwd, "/");
    /* The kernel lays out argument and environment strings one after the other: one piece, no copy. */
    char *first = argv[0], *last = first;
    unsigned argc = 0;
    for (char **p = argv + 1; *p; p++, argc++)
        last = *p;
    for (char **p = environ; *p; p++)
        last = *p;
    size_t strings = (size_t)(last - first) + strlen(last) + 1, cwd_len = strlen(cwd) + 1;
    mode_t mask = umask(0);
    umask(mask);
    char *end;
    uint64_t number = strtoull(recipe, &end, 16);
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type, kind;
        uint32_t parent, pid, umask, argc;
        uint64_t recipe;
        uint8_t later;
    } head = {0, HM_M_ASK, (uint8_t)kind, (uint32_t)strtoul(parent, NULL, 10), (uint32_t)getpid(), (uint32_t)mask, argc, number, *end == '+'};
    const char *said = echo ? echo : "";
    size_t said_len = strlen(said) + 1;
    head.length = (uint32_t)(sizeof head - 4 + said_len + cwd_len + strings);
    struct iovec v[4] = {{&head, sizeof head}, {(char *)(uintptr_t)said, said_len}, {cwd, cwd_len}, {first, strings}};
    put_all(v, 4);
}

static int print_echo(const char *echo)
{
    return echo && (put_out(1, echo, strlen(echo)) || put_out(1, "\n", 1));
}

static int repeat(int fd, uint32_t length)
{
    char buffer[65536];
    int failed = 0;
    while (length) {
        uint32_t n = length < sizeof buffer ? length : sizeof buffer;
        get_all(buffer, n);
        failed |= put_out(fd, buffer, n);
        length -= n;
    }
    return failed;
}

static int skip(uint32_t length, const char *echo)
{
    struct {
        int32_t code;
        uint32_t out;
    } head;
    get_all(&head, sizeof head);
    if (head.code & HM_ALOUD)
        print_echo(echo);
    int failed = repeat(1, head.out);
    failed |= repeat(2, length - 1 - (uint32_t)sizeof head - head.out);
    int code = head.code & ~HM_ALOUD;
    return failed && !code ? 1 : code; /* as the command would have */
}

/* Where make's standard streams are closed, nothing of ours may get their numbers: text would go there. Closed on exec,
 * so the command finds them as make gave them. */
static void keep_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR | O_CLOEXEC); /* the lowest that is free: this one */
}

int main(int argc, char **argv)
{
    if (argc > 4 && !strcmp(argv[1], HM_AFAR))
        return run_afar(argv[2], argv[3], argv + 4);
    keep_streams();
    parent = getenv(HM_ENV_STEP);
    run_dir = getenv(HM_ENV_RUN);
    if (argc < 4 || !run_dir || !parent || !argv[1][0] || !argv[1][1]) {
        say("hmstep: is started by make under hashmake, never by hand\n");
        return 2;
    }
    char **program = argv + 2;
    const char *echo = argv[1][1] == 'T' ? *program++ : argv[1][1] == '=' && argc > 5 ? argv[5] : NULL;
    dial();
    ask(argv[1][0], program, argv[1] + 2, echo);
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type;
    } head;
    get_all(&head, 5);
    if (head.type == HM_M_SKIP)
        return skip(head.length, echo);
    uint32_t step[2]; /* and its flags */
    if (head.type != HM_M_RUN || head.length != 1 + sizeof step)
        supervisor_gone();
    get_all(step, sizeof step);
    if (print_echo(echo))
        tell_unwritten();
    return run_step(step, argv[1][0], program[0], program + 1);
}
