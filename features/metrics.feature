@observability @ORCH-3028 @OC-CORE-1041
Feature: Metrics
  Names, types and labels are a contract, and what happens shows in them at once.

  Background:
    Given a server

  @core @OC-METRICS-7101 @OC-METRICS-7102 @OC-CTRL-2051 @OC-METRICS-7103 @OC-METRICS-7107 @OC-METRICS-7108 @ORCH-3022 @OC-POOL-3030 @OC-METRICS-7106
  Scenario: every series of the contract is there, with its type, its labels and within its budgets
    Given a task that has ended
    When the metrics are read
    Then they are as the metrics contract has them

  @disturbs
  Scenario: a task that ends is counted once in every series
    When a task is submitted
    And its stream is read to the end
    Then tasks_enqueued_total has grown by 1
    And tasks_started_total has grown by 1
    And tokens_out_total has grown by what its end counts
    And tokens_in_total has grown by what its end counts
    And latency_first_token_ms_count has grown by 1
    And latency_decode_ms_count has grown by 1

  @disturbs
  Scenario: a cancel is counted with its reason
    Given a running task
    When it is canceled
    Then tasks_canceled_total has grown by 1

  @disturbs
  Scenario: a refusal is counted with its code
    When a task is submitted with ctx-above-the-limit
    Then tasks_rejected_total has grown by 1 for INVALID_PARAMS

  @disturbs
  Scenario: waiting tasks show in queue_depth, by priority
    Given every slot is busy
    When tasks are submitted as batch, interactive, batch
    Then queue_depth is 1 for interactive and 2 for batch

  @disturbs @ORCH-3017 @OC-CORE-1014
  Scenario: no slot has leaked
    Given a running task
    When it is canceled
    And the metrics are read
    Then slots_leaked_total has grown by 0

  @OC-METRICS-7101 @OC-CTRL-2051
  Scenario: OpenMetrics is spoken to those who ask for it
    When the metrics are read as OpenMetrics
    Then they are OpenMetrics text
