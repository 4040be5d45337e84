#include <stdio.h>

#include "value.h"

struct value *
hcl_read(struct region *r, struct bytes text, char error[VALUE_ERROR_MAX])
{
	size_t i = 0;

	while (i < text.size &&
	       (text.data[i] == ' ' || text.data[i] == '\n' || text.data[i] == '\t' || text.data[i] == '\r'))
		i++;
	if (i < text.size && text.data[i] == '{')
		return json_read(r, text, error);
	snprintf(error, VALUE_ERROR_MAX, "HCL is not read by this version of consuld");
	return NULL;
}
