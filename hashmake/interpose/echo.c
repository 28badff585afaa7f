/* echo.c: holds back the command line that make prints before it runs it, so that a skipped step prints nothing.
 *
 * make writes a message with fputs and fflush, then (for an echo) starts the command. The text stays in the buffer of
 * stdout, made large and fully buffered, until the next event shows what it was: when that is the start of just this
 * command, it is taken out of the buffer and goes to the launcher; anything else lets it out, so nothing changes places.
 * An fflush that did nothing is all that make could notice. With -O, make writes to an unnamed file that becomes the
 * command's standard output: such a write is held back in the same way. */
#include "interpose.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "sys.h"

#define MOST 60000 /* a single argument may have 128 kB; longer lines are printed */
static char buffer[1 << 17];
static char text[MOST + 1];
static size_t text_len; /* what the last fputs put there, 0 if it doesn't qualify */
static bool held;
static bool unexplained; /* what make printed last on standard output may be anything */
static int held_fd = -1; /* the unnamed file that the text was written to, or -1: it is in the buffer of stdout */

static void write_held(void) {
    struct stat st;
    if (hm_sys_fstat(held_fd, &st) != 0) return;
    text[text_len - 1] = '\n';
    for (size_t done = 0; done < text_len;) { /* at its end, wherever make has put the offset meanwhile */
        long n = hm_sys(SYS_pwrite64, held_fd, text + done, text_len - done, st.st_size + (off_t)done);
        if (n == -EINTR) continue;
        if (n <= 0) return;
        done += (size_t)n;
    }
    hm_sys(SYS_lseek, held_fd, 0, SEEK_END, 0);
}

void hm_echo_start(void) {
    if (setvbuf(stdout, buffer, _IOFBF, sizeof buffer) == 0) hm.hold = true;
}

void hm_make_flush(void) {
    if (held && held_fd >= 0) {
        held = false;
        write_held();
    } else if (held) {
        held = false;
        int kept = errno;
        NEXT(fflush)(stdout);
        errno = kept;
    }
    text_len = 0;
    held_fd = -1;
}

void hm_echo_failed(void) {
    if (__atomic_load_n(&hm.trace->flags, __ATOMIC_ACQUIRE) & HM_UNWRITTEN) stdout->_flags |= 0x20; /* _IO_ERR_SEEN: ferror() */
}

static void say_so(void) {
    static bool told;
    if (!told) hm_emit_text(HM_SAID, hm.program, hm_len(hm.program));
    told = true;
    unexplained = false;
}

void hm_echo_end(void) {
    if (unexplained) say_so();
}

/* In another language it is something that nobody could repeat. */
static bool names_directory(const char *s) {
    return strstr(s, ": Entering directory '") || strstr(s, ": Leaving directory '");
}

static bool qualifies(const char *s, size_t n) {
    return n > 1 && n < MOST && s[n - 1] == '\n';
}

static void keep(const char *s, size_t n) {
    memcpy(text, s, n);
    text[n - 1] = 0;
    text_len = n;
}

HM_API ssize_t write(int fd, const void *buf, size_t n) {
    struct stat st;
    if (HM_LIKELY(!hm.hold)) return NEXT(write)(fd, buf, n);
    hm_make_flush();
    if (fd <= 2 || !qualifies(buf, n) || hm_sys_fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink)
        return NEXT(write)(fd, buf, n);
    keep(buf, n);
    held = true;
    held_fd = fd;
    return (ssize_t)n;
}

#define LSEEK(name, type)                                \
    HM_API type name(int fd, type at, int from) {        \
        if (HM_UNLIKELY(hm.hold)) hm_make_flush();       \
        return NEXT(name)(fd, at, from);                 \
    }
LSEEK(lseek, off_t)
LSEEK(lseek64, off64_t)

HM_API int setvbuf(FILE *stream, char *buf, int mode, size_t size) {
    if (hm.hold && stream == stdout) return 0; /* make asks for line buffering */
    return NEXT(setvbuf)(stream, buf, mode, size);
}

HM_API int fputs(const char *s, FILE *stream) {
    if (HM_LIKELY(!hm.hold)) return NEXT(fputs)(s, stream);
    hm_make_flush();
    if (unexplained) say_so();
    if (stream != stdout) {
        if (stream == stderr && __fpending(stdout)) NEXT(fflush)(stdout);
        if (stream == stderr && hm_no_rule(s)) return 1;
        if (stream == stderr) say_so();
        return NEXT(fputs)(s, stream);
    }
    if (__fpending(stdout)) NEXT(fflush)(stdout);
    int r = NEXT(fputs)(s, stream);
    size_t n = strlen(s);
    unexplained = !names_directory(s);
    if (qualifies(s, n)) keep(s, n);
    return r;
}

HM_API int fflush(FILE *stream) {
    if (HM_UNLIKELY(hm.hold) && (!stream || stream == stdout)) {
        if (held_fd >= 0 && !__fpending(stdout)) return NEXT(fflush)(stream);
        if (stream && text_len && __fpending(stdout) == text_len) {
            held = true;
            return 0;
        }
        hm_make_flush();
    }
    return NEXT(fflush)(stream);
}

/* Without what quoting and splitting into words change. */
static const char *skip(const char *s) {
    while (*s && strchr(" \t\n\\'\"", *s)) s++;
    return s;
}

static bool same_words(const char *line, char *const argv[], bool one) {
    line = skip(line);
    for (; *argv; argv++) {
        for (const char *w = skip(*argv); *w; w = skip(w + 1)) {
            if (*line != *w) return false;
            line = skip(line + 1);
        }
        if (one) break;
    }
    return !*line;
}

static enum hm_echo compare(char *const argv[]) {
    bool line = argv[0] && argv[1] && argv[1][0] == '-' && argv[2] && !argv[3];
    if (line && strcmp(text, argv[2]) == 0) return HM_ECHO_LINE;
    if (line && same_words(text, argv + 2, true)) return HM_ECHO_TEXT;
    return same_words(text, argv, false) ? HM_ECHO_TEXT : HM_ECHO_NONE;
}

enum hm_echo hm_echo_take(char *const argv[], int out_fd, const char **out) {
    if (!hm.hold) return HM_ECHO_NONE;
    enum hm_echo echo = HM_ECHO_NONE;
    if (held && (held_fd < 0 ? __fpending(stdout) == text_len : held_fd == out_fd)) echo = compare(argv);
    if (echo == HM_ECHO_NONE) {
        hm_make_flush();
        return echo;
    }
    unexplained = false;
    if (held_fd < 0) __fpurge(stdout);
    held_fd = -1;
    held = false;
    text_len = 0;
    *out = text;
    return echo;
}
