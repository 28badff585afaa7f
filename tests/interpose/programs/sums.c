/* sums RUN RECORDS: what launcher/summary.c makes of a file of records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launcher.h"

const char *run_dir;
static char *data;
static uint64_t data_tail;

const char *trace_records(uint64_t *tail)
{
    *tail = data_tail;
    return data;
}

int main(int argc, char **argv)
{
    FILE *f = fopen(argv[2], "rb");
    if (argc != 3 || !f) return 2;
    run_dir = argv[1];
    data = malloc(1 << 22);
    data_tail = sizeof(struct hm_trace) + fread(data, 1, 1 << 22, f);
    struct summary s;
    if (!summarize(&s)) return 3;
    printf("%u %llu\n", s.count, (unsigned long long)s.generation);
    for (unsigned i = 0; i < s.count; i++) printf("%u\n", s.facts[i]);
    fwrite(s.text, 1, s.length, stdout);
    return 0;
}
