#include <calc/stack.h>

int push(struct stack *s, number n)
{
	if (s->depth == CONFIG_STACK_DEPTH)
		return 0;
	s->slot[s->depth++] = n;
	return 1;
}

int pop(struct stack *s, number *n)
{
	if (!s->depth)
		return 0;
	*n = s->slot[--s->depth];
	return 1;
}
