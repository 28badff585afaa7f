/* rules.c: by which prerequisites' times a make process decides whether a recipe is to run.
 *
 * A target that no step has made yet is not there, and so make asks for its recipe, whatever the times. One that was
 * there when make came up (a source with a rule, what another goal or make has left) is made again only if a prerequisite
 * is newer: that prerequisite decides, though perhaps no step reads it. A build that does without make has to know.
 *
 * When make ends, its table of files is walked from the explicit targets along the prerequisites, those that implicit
 * rules have found among them. Its functions are among the names that make exports for `load`; how it lays out what it
 * knows of a file is taken from versions 4.3 and 4.4, and of any other make it is told that nothing is known. */
#include "interpose.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sys.h"

struct make_dep {
    struct make_dep *next;
    const char *name;
    struct make_file *file;
};
struct make_file {
    const char *name, *host_name, *vpath;
    struct make_dep *deps;
    void *commands;
    const char *stem;
    struct make_dep *also_made;
    struct make_file *previous; /* with the same name: double-colon rules */
};
extern char *gmk_alloc(unsigned int size) __attribute__((weak));
extern char *build_target_list(char *list) __attribute__((weak));
extern int not_parallel __attribute__((weak));
extern struct make_file *lookup_file(const char *name) __attribute__((weak));

static uint64_t began; /* the view's moment when this make came up */

/* Files, each once: a list, and an open-addressing table of what is in it. */
static struct set {
    const struct make_file **list, **table;
    size_t count, room; /* the table has twice as many slots, a power of two */
} files, phony;

void hm_rules_start(void) {
    if (hm.view) began = __atomic_load_n(&hm.view->seq, __ATOMIC_ACQUIRE);
}

static size_t slot_of(const struct set *s, const struct make_file *file) {
    size_t mask = 2 * s->room - 1, at = ((uintptr_t)file >> 4) * 0x9e3779b97f4a7c15u >> 20 & mask;
    while (s->table[at] && s->table[at] != file) at = (at + 1) & mask;
    return at;
}

/* List and table lie in one piece of memory, which goes with the process. */
static bool grow(struct set *s) {
    size_t room = s->room ? 2 * s->room : 1024;
    const struct make_file **list = hm_sys_mmap(3 * room * sizeof *list, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!list) return false;
    if (s->count) memcpy(list, s->list, s->count * sizeof *list);
    s->list = list;
    s->table = list + room;
    s->room = room;
    for (size_t i = 0; i < s->count; i++) s->table[slot_of(s, s->list[i])] = s->list[i];
    return true;
}

static bool add(struct set *s, const struct make_file *file) {
    if (!file) return true;
    if (s->count == s->room && !grow(s)) return false;
    size_t at = slot_of(s, file);
    if (!s->table[at]) s->table[at] = s->list[s->count++] = file;
    return true;
}

static bool is_phony(const struct make_file *file) {
    return file && phony.room && phony.table[slot_of(&phony, file)];
}

static bool add_phony(void) {
    const struct make_file *at = lookup_file(".PHONY");
    struct make_file file;
    struct make_dep dep;
    for (; at; at = file.previous) {
        if (!hm_peek(at, &file, sizeof file)) return false;
        for (const struct make_dep *d = file.deps; d; d = dep.next)
            if (!hm_peek(d, &dep, sizeof dep) || !add(&phony, dep.file ? dep.file : lookup_file(dep.name))) return false;
    }
    return true;
}

/* Whether a target was there before this make could have had it made. */
static bool was_there(const char *name) {
    HM_OWN(struct hm_path, p);
    struct stat st;
    if (!hm_resolve(&p, AT_FDCWD, name)) return false;
    uint64_t moment = p.entry ? __atomic_load_n(&p.entry->value, __ATOMIC_ACQUIRE) >> 3 : 0;
    if (p.state == HM_V_HIDDEN || p.state == HM_V_LIVE) return false;
    if (p.state == HM_V_PRESENT || p.state == HM_V_AHEAD) return moment <= began;
    return hm_sys_stat(name, &st, 0) == 0;
}

static bool look_at(const struct make_file *at) {
    struct make_file file;
    struct make_dep dep;
    if (!hm_peek(at, &file, sizeof file) || !add(&files, file.previous)) return false;
    bool always = is_phony(at); /* made whatever the times say, and so is what depends on such a target */
    for (const struct make_dep *d = file.deps; d; d = dep.next) {
        if (!hm_peek(d, &dep, sizeof dep) || !add(&files, dep.file)) return false;
        always |= is_phony(dep.file);
    }
    bool decided = file.deps && file.commands && !always && was_there(file.name);
    for (const struct make_dep *d = decided ? file.deps : NULL; d; d = dep.next) {
        if (!hm_peek(d, &dep, sizeof dep)) return false;
        struct make_file other;
        const char *name = dep.name;
        if (!name && dep.file) {
            if (!hm_peek(dep.file, &other, sizeof other)) return false;
            name = other.name;
        }
        HM_OWN(struct hm_path, p);
        if (name && hm_resolve(&p, AT_FDCWD, name)) hm_emit(HM_DECIDES, &p);
    }
    return true;
}

static bool tell(char *targets) {
    for (char *next, *name = targets; *name; name = next) {
        next = name + strcspn(name, " ");
        if (*next) *next++ = 0;
        const struct make_file *file = *name ? lookup_file(name) : NULL;
        if (*name && (!file || !add(&files, file))) return false; /* a name with a space in it, say */
    }
    for (size_t i = 0; i < files.count; i++)
        if (!look_at(files.list[i])) return false;
    return files.count > 0;
}

void hm_rules_end(void) {
    const char *version = hm_make_version();
    bool known = version && (!strncmp(version, "4.3", 3) || !strncmp(version, "4.4", 3));
    char *list = known && &build_target_list && &lookup_file && &gmk_alloc ? gmk_alloc(1) : NULL; /* it is made longer */
    if (list) *list = 0;
    char *targets = list ? build_target_list(list) : NULL;
    bool told = targets && add_phony() && tell(targets);
    if (!&not_parallel || not_parallel) hm_emit_text(HM_DECIDES, "1", 1);
    hm_emit_text(HM_DECIDES, told ? "." : "?", 1);
}
