/* SPDX-License-Identifier: MIT */
/* Records for people, by reflection: whatever kind it is, one line. */
#ifndef CMD_SUMMARY_H
#define CMD_SUMMARY_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "base/mem.h"

/* "/tmp/x, pos 12, size 40": the path first, then all other fields but the id and what is empty. */
void summary_add(struct buf *out, const ProtobufCMessage *msg);
/* A field of type bytes or string, escaped; nothing if the message has no such field. */
void summary_field(struct buf *out, const ProtobufCMessage *msg, const char *field);
/* "17 bytes", "4.0 KiB" */
void summary_size(struct buf *out, uint64_t bytes);

#endif
