/* Admission: batch work may not ask for more than 512 tokens, and nothing is taken while 100 tasks wait. */
#include "../llorch_policy.h"

static llp_answer decide(llp_text document) {
    llp_admission asked;
    if (!llp_admission_of(document, &asked)) return llp_allow();
    if (llp_is(asked.task.priority, "batch") && asked.task.max_tokens > 512) return llp_deny("batch tasks may ask for 512 tokens");
    if (asked.pool.queue_depth_interactive + asked.pool.queue_depth_batch >= 100) return llp_deny("100 tasks wait already");
    return llp_allow();
}

LLP_PLUGIN("token-cap", "1.0.0", decide)
