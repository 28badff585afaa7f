/* echo.c: holds back the command line that make prints before it runs it, so that a skipped step prints nothing.
 *
 * make writes a message with fputs and fflush, then (for an echo) starts the command. The text stays in the buffer of
 * stdout, made large and fully buffered, until the next event shows what it was: when that is the start of just this
 * command, it is taken out of the buffer and goes to the launcher; anything else lets it out, so nothing changes places.
 * An fflush that did nothing is all that make could notice. */
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

void hm_echo_start(void) {
    if (setvbuf(stdout, buffer, _IOFBF, sizeof buffer) == 0) hm.hold = true;
}

void hm_make_flush(void) {
    text_len = 0;
    if (!held) return;
    held = false;
    int kept = errno;
    NEXT(fflush)(stdout);
    errno = kept;
}

HM_API int setvbuf(FILE *stream, char *buf, int mode, size_t size) {
    if (hm.hold && stream == stdout) return 0; /* make asks for line buffering */
    return NEXT(setvbuf)(stream, buf, mode, size);
}

HM_API int fputs(const char *s, FILE *stream) {
    if (HM_LIKELY(!hm.hold)) return NEXT(fputs)(s, stream);
    hm_make_flush();
    if (stream != stdout) {
        if (stream == stderr && __fpending(stdout)) NEXT(fflush)(stdout);
        return NEXT(fputs)(s, stream);
    }
    if (__fpending(stdout)) NEXT(fflush)(stdout);
    int r = NEXT(fputs)(s, stream);
    size_t n = strlen(s);
    if (n > 1 && n < MOST && s[n - 1] == '\n') {
        memcpy(text, s, n);
        text[n - 1] = 0;
        text_len = n;
    }
    return r;
}

HM_API int fflush(FILE *stream) {
    if (HM_UNLIKELY(hm.hold) && (!stream || stream == stdout)) {
        if (stream && text_len && __fpending(stdout) == text_len) {
            held = true;
            return 0;
        }
        held = false;
        text_len = 0;
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

enum hm_echo hm_echo_take(char *const argv[], const char **out) {
    if (!hm.hold) return HM_ECHO_NONE;
    enum hm_echo echo = HM_ECHO_NONE;
    if (held && __fpending(stdout) == text_len) echo = compare(argv);
    if (echo == HM_ECHO_NONE) {
        hm_make_flush();
        return echo;
    }
    __fpurge(stdout);
    held = false;
    text_len = 0;
    *out = text;
    return echo;
}
