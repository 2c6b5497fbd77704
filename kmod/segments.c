// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which System V segments a process has attached, for its next generation to attach them again. They are noted when
 * the process asks for it: at its death its address space is gone before anybody could look.
 */
#include <linux/dcache.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "service.h"

/* ipc/shm.c names its files SYSV and the key, on an internal mount, and numbers their inodes by the segment's id. */
static bool is_segment(struct vm_area_struct *vma)
{
	struct dentry *dentry;

	if (!vma->vm_file)
		return false;
	dentry = vma->vm_file->f_path.dentry;
	return !strncmp(dentry->d_name.name, "SYSV", 4) && (dentry->d_sb->s_flags & SB_KERNMOUNT);
}

static u32 list_segments(struct mm_struct *mm, struct zlr_segment *segment)
{
	VMA_ITERATOR(iter, mm, 0);
	struct vm_area_struct *vma;
	u32 count = 0;

	for_each_vma(iter, vma) {
		/* A segment may lie in several areas; its first says where it was attached. */
		if (!is_segment(vma) || vma->vm_pgoff)
			continue;
		if (count < ZLR_SEGMENTS_MAX) {
			segment[count].address = vma->vm_start;
			segment[count].size = i_size_read(file_inode(vma->vm_file));
			segment[count].shmid = file_inode(vma->vm_file)->i_ino;
		}
		count++;
	}
	return count;
}

/* How many were noted; E2BIG: there are more than a registration holds, and the list is as it was. */
long zlr_segments(void)
{
	struct zlr_service *service = zlr_service_of(task_tgid(current));
	struct zlr_segment *segment;
	long result = -ENOMEM;

	if (!service)
		return -ESRCH;
	segment = kcalloc(ZLR_SEGMENTS_MAX, sizeof(*segment), GFP_KERNEL);
	if (!segment)
		goto put;
	mmap_read_lock(current->mm);
	result = list_segments(current->mm, segment);
	mmap_read_unlock(current->mm);
	if (result > ZLR_SEGMENTS_MAX) {
		result = -E2BIG;
		goto free;
	}
	spin_lock(&zlr_services_lock);
	memcpy(service->segment, segment, sizeof(service->segment));
	service->segments = result;
	spin_unlock(&zlr_services_lock);
free:
	kfree(segment);
put:
	zlr_service_put(service);
	return result;
}
