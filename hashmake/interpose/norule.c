/* norule.c: make is about to say that there is no rule for a file which is hidden from it.
 *
 * A product of earlier builds whose rule has gone is no product any more: somebody committed the generated file, or switched
 * to a branch that has it. Only make knows that there is no rule, and only when it has looked everywhere; it then says
 * so. The text is not let out: the supervisor is told, and make evaluates once more with the file in sight. From then on
 * no make of this evaluation complains, since all of them fail for this reason. */
#include "interpose.h"

#include <libintl.h>
#include <limits.h>
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

static bool hidden(const char *name, size_t len) {
    HM_TEXT_ROOM(copy);
    HM_TEXT_ROOM(payload);
    HM_OWN(struct hm_path, p);
    if (!copy || !payload || !len || len >= PATH_MAX) return false;
    memcpy(copy, name, len);
    copy[len] = 0;
    if (!hm_resolve(&p, AT_FDCWD, copy) || p.state != HM_V_HIDDEN) return false;
    if (hm_sys(SYS_faccessat, AT_FDCWD, p.s, F_OK, 0) != 0) return false;
    memcpy(payload, &hm.step, 4);
    memcpy(payload + 4, p.s, p.len);
    hm_tell(HM_M_NORULE, payload, 4 + p.len);
    return true;
}

static bool given_up(void) {
    return hm.view && (__atomic_load_n(&hm.view->flags, __ATOMIC_ACQUIRE) & HM_VF_GIVEN_UP);
}

bool hm_no_rule(const char *text) {
    if (given_up()) return true;
    for (size_t i = 0; hm_hides() && i < sizeof messages / sizeof *messages; i++) {
        size_t len;
        const char *name = named(messages[i], text, &len);
        if (name) return hidden(name, len) && given_up();
    }
    return false;
}
