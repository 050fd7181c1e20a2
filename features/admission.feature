@data-plane @ORCH-2001 @OC-CTRL-2010
Feature: Admission
  A task is accepted with its place in the queue, or refused with a typed reason and without a trace.

  Background:
    Given a server

  @core @OC-CORE-1042
  Scenario: an accepted task is told its place and when it will start
    When a task is submitted
    Then it is accepted
    And it is told to start at once

  @disturbs @OC-CORE-1042
  Scenario: a task behind a busy pool is told that it has to wait
    Given every slot is busy
    And a task that waits
    When a task is submitted
    Then it is accepted
    And it is told a place behind the one that waits

  @disturbs @ORCH-3024 @ORCH-2012
  Scenario: the same request again gets the first answer and makes no second task
    Given every slot is busy
    And a task that waits
    When a task is submitted
    And the same request is sent again
    Then it gets the first answer
    And no second task was made

  @disturbs @ORCH-3024 @ORCH-2012
  Scenario: the same request again gets the first answer when the task has ended
    Given a task that has ended
    When the same request is sent again
    Then it gets the first answer
    And no second task was made

  @disturbs @ORCH-3024 @ORCH-2012
  Scenario: a task_id that was used for another body is a conflict
    Given a task that has ended
    When its task_id is submitted with another prompt
    Then it is refused with CONFLICT
    And no second task was made

  @disturbs @ORCH-3014 @ORCH-3015 @ORCH-3046 @ORCH-2008 @OC-CORE-1020 @OC-CORE-1021 @OC-CTRL-2031
  Scenario Outline: what the pool cannot serve is refused before it is queued
    When a task is submitted with <what>
    Then it is refused with INVALID_PARAMS
    And it names the engine that was asked for
    And nothing was enqueued

    Examples:
      | what                          |
      | ctx-above-the-limit           |
      | max-tokens-above-ctx          |
      | a-prompt-above-ctx            |
      | a-model-nobody-serves         |
      | an-engine-nobody-serves       |
      | a-workload-nobody-serves      |
      | another-sampler-profile       |

  @disturbs @OC-CTRL-2013
  Scenario: a model that nobody serves is refused with those that are served
    When a task is submitted with a-model-nobody-serves
    Then it is refused with INVALID_PARAMS
    And its message names the model that is served

  @disturbs @ORCH-2009
  Scenario: a task tells its place while it waits, and its tokens once it has ended
    Given every slot is busy
    And a task that waits
    Then its answer tells its place and when it will start
    When the slot becomes free
    And its stream is read to the end
    Then its answer tells the tokens of the stream

  @OC-ADAPT-5017
  Scenario Outline: every way to say the same task is accepted
    When a task is submitted with <what>
    Then it is accepted
    And it ends well

    Examples:
      | what                  |
      | inputs-of-one-text    |
      | the-pool's-profile    |
      | every-optional-field  |
      | a-negative-seed       |
      | the-largest-seed      |
      | text-of-all-planes    |

  Scenario: a charset beside the media type does no harm
    When a task is submitted as JSON with a charset
    Then it is accepted
