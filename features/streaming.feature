@data-plane @ORCH-2002 @OC-CTRL-2022
Feature: Streaming
  A stream is a view of its task: every reader sees the same frames, whenever it comes and however often.

  Background:
    Given a server

  @core @OC-CTRL-2020 @OC-CTRL-2021 @OC-CTRL-2025 @OC-ADAPT-5018
  Scenario: frames come in order and end with exactly one end
    When a task of 32 tokens is submitted
    And its stream is read to the end
    Then the stream starts with started and ends with end
    And it has the tokens that its end counts

  @ORCH-3029
  Scenario: started repeats the forecast of the admission and says who decodes
    When a task is submitted
    And its stream is read to the end
    Then started repeats what the admission said
    And started names engine, engine_version, pool_id, replica_id, sampler_profile_version and seed

  @OC-METRICS-7110 @OC-CTRL-2023 @OC-CTRL-2026
  Scenario: metrics frames come after the start and before the end, with planning figures
    When a task is submitted
    And its stream is read to the end
    Then the second frame and the last but one are metrics
    And every metrics frame has queue_depth and on_time_probability

  @core
  Scenario: tokens arrive while the task still runs
    When a long task is submitted
    And its stream is opened
    Then tokens arrive before the task has ended

  @core @ORCH-2011 @OC-CTRL-2025
  Scenario: a late reader gets the whole transcript
    Given a task that has ended
    When its stream is read a second time
    Then both readers got the same frames

  @disturbs
  Scenario: two readers of a running task see the same frames
    Given a running task of 48 tokens
    When two readers read it to the end
    Then both readers got the same frames

  @core @ORCH-2011
  Scenario Outline: a reader that comes back misses nothing and gets nothing twice
    Given a task that has ended
    When a reader comes back after <frame>
    Then it gets exactly the frames after that one

    Examples:
      | frame           |
      | the-first-frame |
      | a-middle-frame  |
      | the-last-token  |

  @disturbs @ORCH-2011
  Scenario: a reader that comes back to a running task goes on where it was
    Given a running task of 400 tokens
    When its reader leaves after 4 tokens and comes back
    Then both parts together are the whole transcript

  @OC-CTRL-2027
  Scenario: a reader that has seen the end is told not to come back
    Given a task that has ended
    When a reader comes back after the-terminal-frame
    Then it is told that there is nothing more

  @OC-CTRL-2027
  Scenario Outline: a place that is none in this stream is refused
    Given a task that has ended
    When a reader comes back with Last-Event-ID <id>
    Then it is refused with INVALID_PARAMS

    Examples:
      | id                   |
      | abc                  |
      | -1                   |
      | 1.5                  |
      | 99999999             |
      | 99999999999999999999 |

  Scenario: a stream is sent as events that no proxy may keep or buffer
    Given a task that has ended
    Then its stream is text/event-stream and not stored

  @OC-CTRL-2028
  Scenario: a waiting reader is kept alive by comments
    Given a server that sends a comment every 100 ms
    And every slot is busy
    When a task is submitted
    And its stream is opened
    Then 3 comments arrive before it starts

  @OC-CTRL-2011 @OC-CTRL-2029
  Scenario: no more readers than a stream may have
    Given a server that allows 2 readers of a stream
    And a running task
    And 2 readers of it
    When one more reader comes
    Then it is refused with ADMISSION_REJECT
    And the policy label is "readers"
