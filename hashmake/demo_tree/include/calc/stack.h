#ifndef CALC_STACK_H
#define CALC_STACK_H
#include <calc/number.h>

struct stack {
	number slot[CONFIG_STACK_DEPTH];
	int depth;
};

int push(struct stack *s, number n);
int pop(struct stack *s, number *n);
#endif
