@observability @OC-CTRL-2052
Feature: Correlation
  Every answer carries an id that finds its request again in logs: the client's own, or a fresh one.

  Background:
    Given a server

  @core
  Scenario Outline: an id that was sent comes back on every answer
    When <request> is sent with X-Correlation-Id "<id>"
    Then the answer has X-Correlation-Id "<id>"

    Examples:
      | request                 | id                                   |
      | POST /v1/tasks          | checkout-17                          |
      | GET /v1/tasks/ID        | a b~c:{"x"}                          |
      | GET /v1/capabilities    | 0                                    |
      | GET /v1/sessions/ID     | 00000000-0000-0000-0000-000000000000 |
      | GET /nowhere            | on-an-error                          |

  Scenario: an id of 128 characters comes back whole
    When GET /v1/capabilities is sent with an X-Correlation-Id of 128 characters
    Then the answer has that X-Correlation-Id

  @core @ORCH-2002
  Scenario: a stream carries the id too
    Given a task that has ended
    When its stream is opened with X-Correlation-Id "reader-1"
    Then the stream's answer has X-Correlation-Id "reader-1"

  @core
  Scenario: without an id every answer has a fresh one
    When GET /v1/capabilities is sent 3 times
    Then the answers have 3 different UUIDv4 as X-Correlation-Id

  @disturbs @OC-CTRL-2053
  Scenario Outline: an id that is not printable or too long is refused
    When a task is submitted with an X-Correlation-Id that <is>
    Then it is refused with INVALID_PARAMS
    And nothing of the id comes back
    And nothing was enqueued

    Examples:
      | is                        |
      | has-129-characters        |
      | has-9000-characters       |
      | has-a-tab                 |
      | has-a-nul                 |
      | has-an-escape             |
      | has-a-carriage-return     |
      | injects-a-header          |
      | is-latin-1                |
      | is-utf-8                  |
      | is-empty                  |
      | is-sent-twice             |
