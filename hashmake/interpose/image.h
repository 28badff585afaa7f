/* image.h: what the head of a file says of the program in it: whether it is one of this machine's, and whether ld.so starts
 * it, which then loads the interposer. The one place that reads ELF files; both C programs include it. */
#ifndef HM_IMAGE_H
#define HM_IMAGE_H
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

#include "sys.h"

#define HM_IMAGE_HEAD 4096 /* bytes from the beginning that are to be looked at; most program headers lie in them */

enum hm_elf { HM_ELF_NONE, HM_ELF_FOREIGN, HM_ELF_STATIC, HM_ELF_DYNAMIC };

static inline int hm_machine(void) {
#if defined __x86_64__
    return EM_X86_64;
#else
    return EM_AARCH64;
#endif
}

/* head: the first `len` bytes of the file that `fd` is open on. */
static inline enum hm_elf hm_elf_kind(int fd, const char *head, size_t len) {
    ElfW(Ehdr) elf;
    if (len < EI_NIDENT || memcmp(head, ELFMAG, SELFMAG) != 0) return HM_ELF_NONE;
    if (head[EI_CLASS] != ELFCLASS64) return HM_ELF_FOREIGN;
    if (len < sizeof elf) return HM_ELF_NONE;
    memcpy(&elf, head, sizeof elf);
    if (elf.e_machine != hm_machine()) return HM_ELF_FOREIGN;
    for (unsigned i = 0; i < elf.e_phnum && elf.e_phentsize == sizeof(ElfW(Phdr)); i++) {
        ElfW(Phdr) part;
        size_t at = elf.e_phoff + i * sizeof part;
        if (at + sizeof part <= len)
            memcpy(&part, head + at, sizeof part);
        else if (hm_sys(SYS_pread64, fd, &part, sizeof part, at) != (long)sizeof part)
            break;
        if (part.p_type == PT_INTERP) return HM_ELF_DYNAMIC;
    }
    return HM_ELF_STATIC;
}
#endif
