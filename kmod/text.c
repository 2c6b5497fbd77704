// SPDX-License-Identifier: GPL-2.0-only
/* The strings of a registration: bounded, copied once, checked in the copy. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "zlr.h"

static int copy_block(char *to, u64 from, u32 length)
{
	if (copy_from_user(to, u64_to_user_ptr(from), length))
		return -EFAULT;
	/* Somebody may have changed it since its length was told; only what stands here counts. */
	if (length && to[length - 1])
		return -EINVAL;
	return 0;
}

static unsigned int count_strings(const char *block, u32 length)
{
	const char *end = block + length;
	unsigned int count = 0;

	for (; block < end; block += strlen(block) + 1)
		count++;
	return count;
}

static char **point_at(char **pointers, char *block, u32 length)
{
	char *end = block + length;

	for (; block < end; block += strlen(block) + 1)
		*pointers++ = block;
	*pointers++ = NULL;
	return pointers;
}

/*
 *    bytes                                          pointers (aligned)
 *    | path NUL | argv ... NUL | envp ... NUL |pad| argv[0] ... NULL | envp[0] ... NULL |
 *
 * The number of strings is known only when they are here, so the pointers are a second allocation.
 */
struct zlr_text *zlr_text_from_user(const struct zlr_reregist *from)
{
	u64 length = (u64)from->path_len + from->argv_len + from->envp_len;
	struct zlr_text *text;
	char *argv, *envp, **pointers;
	unsigned int strings;
	int error;

	if (from->path_len < 2 || from->path_len > ZLR_PATH_MAX || !from->argv_len)
		return ERR_PTR(-EINVAL);
	if (length > ZLR_TEXT_MAX)
		return ERR_PTR(-E2BIG);

	text = kvmalloc(struct_size(text, bytes, length), GFP_KERNEL_ACCOUNT);
	if (!text)
		return ERR_PTR(-ENOMEM);
	kref_init(&text->ref);
	text->path_len = from->path_len;
	text->argv_len = from->argv_len;
	text->envp_len = from->envp_len;
	argv = text->bytes + text->path_len;
	envp = argv + text->argv_len;

	error = copy_block(text->bytes, from->path, text->path_len);
	if (!error)
		error = copy_block(argv, from->argv, text->argv_len);
	if (!error)
		error = copy_block(envp, from->envp, text->envp_len);
	if (error)
		goto free_text;

	/* An absolute path means the same to whoever executes it. */
	error = -EINVAL;
	if (text->bytes[0] != '/' || strlen(text->bytes) + 1 != text->path_len)
		goto free_text;
	strings = count_strings(argv, text->argv_len) + count_strings(envp, text->envp_len);
	error = -E2BIG;
	if (strings > ZLR_STRINGS_MAX)
		goto free_text;
	error = -ENOMEM;
	pointers = kvmalloc_array(strings + 2, sizeof(*pointers), GFP_KERNEL_ACCOUNT);
	if (!pointers)
		goto free_text;
	text->argv = pointers;
	text->envp = point_at(text->argv, argv, text->argv_len);
	point_at(text->envp, envp, text->envp_len);
	return text;

free_text:
	kvfree(text);
	return ERR_PTR(error);
}

static void free_text(struct kref *ref)
{
	struct zlr_text *text = container_of(ref, struct zlr_text, ref);

	kvfree(text->argv);
	kvfree(text);
}

/* May sleep. */
void zlr_text_put(struct zlr_text *text)
{
	if (text)
		kref_put(&text->ref, free_text);
}
