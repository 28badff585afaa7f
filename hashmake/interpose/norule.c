/* norule.c: make is about to say that there is no rule for a file which is hidden from it.
 *
 * A product of earlier builds whose rule has gone is no product any more: somebody committed the generated file, or switched
 * to a branch that has it. Only make knows that there is no rule, and only when it has looked everywhere; it then says
 * so. The text is not let out: the supervisor is told, and make evaluates once more with the file in sight. From then on
 * no make of this evaluation complains, since all of them fail for this reason. */
#include "interpose.h"

#include <errno.h>
#include <libintl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"

/* GNU make's messages, remake.c; translated, because what is printed is. */
static const char *const messages[] = {"%sNo rule to make target '%s', needed by '%s'%s",
                                       "%sNo rule to make target '%s'%s"};

/* The name in the text if it is one of this message's: what stands between the words around the second %s. */
static const char *named(const char *message, const char *text, size_t *len) {
    const char *format = dgettext("make", message);
    const char *before = strstr(format, "%s"), *at = before ? strstr(before + 2, "%s") : NULL;
    if (!at) return NULL;
    size_t n = (size_t)(at - before) - 2, after = strcspn(at + 2, "%");
    const char *found = n ? memmem(text, strlen(text), before + 2, n) : NULL;
    if (!found || !after) return NULL;
    found += n;
    const char *end = memmem(found, strlen(found), at + 2, after);
    if (!end) return NULL;
    *len = (size_t)(end - found);
    return found;
}

/* Whether this is a file that is on the disk and hidden; `payload`: the step and its path, then the length of both. */
static size_t hidden(const char *name, size_t len, char *payload) {
    HM_TEXT_ROOM(copy);
    HM_OWN(struct hm_path, p);
    if (!copy || !payload || !len || len >= PATH_MAX) return 0;
    memcpy(copy, name, len);
    copy[len] = 0;
    if (!hm_resolve(&p, AT_FDCWD, copy) || p.state != HM_V_HIDDEN) return 0;
    if (hm_sys(SYS_faccessat, AT_FDCWD, p.s, F_OK, 0) != 0) return 0;
    memcpy(payload, &hm.step, 4);
    memcpy(payload + 4, p.s, p.len);
    return 4 + p.len;
}

static bool given_up(void) {
    return hm.view && (__atomic_load_n(&hm.view->flags, __ATOMIC_ACQUIRE) & HM_VF_GIVEN_UP);
}

static bool catch_no_rule(const char *text) {
    HM_TEXT_ROOM(payload);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        size_t len;
        const char *name = named(messages[i], text, &len);
        size_t told = name ? hidden(name, len, payload) : 0;
        if (told) hm_tell(HM_M_NORULE, payload, told);
        if (name) return told && given_up();
    }
    return false;
}

/* "Makefile:1: gen.mk: No such file or directory": make says this of an included makefile just before it says why. */
static bool of_include(const char *text) {
    HM_TEXT_ROOM(payload);
    const char *why = strerror(ENOENT);
    size_t n = strlen(text), tail = strlen(why) + 3; /* with a colon, a space and the newline */
    if (n <= tail || text[n - 1] != '\n' || memcmp(text + n - tail, ": ", 2) != 0 || memcmp(text + n - tail + 2, why, tail - 3) != 0)
        return false;
    const char *end = text + n - tail, *name = end;
    while (name > text && !(name[-1] == ' ' && name - 1 > text && name[-2] == ':')) name--;
    return hidden(name, (size_t)(end - name), payload) != 0;
}

bool hm_no_rule(const char *text) {
    static char held[PATH_MAX];
    if (given_up()) return true;
    if (!hm_hides()) return false;
    if (!held[0] && strlen(text) < sizeof held && of_include(text)) {
        strcpy(held, text);
        return true;
    }
    bool caught = catch_no_rule(text);
    if (held[0] && !caught) NEXT(fputs)(held, stderr);
    held[0] = 0;
    return caught;
}
