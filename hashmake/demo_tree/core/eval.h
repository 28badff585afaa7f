#ifndef CORE_EVAL_H
#define CORE_EVAL_H
#include <calc/stack.h>

enum word { NUMBER, OPERATOR };

enum word classify(const char *text, number *value);
const char *evaluate(int count, char **words, struct stack *s);
int complain(const char *what, const char *word);
#endif
