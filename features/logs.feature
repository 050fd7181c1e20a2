@observability
Feature: Logs
  One JSON line tells what became of a task, and no line tells what was in it.

  Background:
    Given a server of its own

  @ORCH-3027 @ORCH-3029 @OC-CORE-1040 @OC-CTRL-2050
  Scenario: admission, start and end of a task are logged with all fields
    When a task is submitted
    And its stream is read to the end
    Then its log lines are as the contract has them
    And the line of its admission has queue_position and predicted_start_ms

  @OC-CTRL-2041 @ORCH-3027
  Scenario: neither token nor prompt nor output is in the logs
    When a task with the prompt "swordfish-under-the-pier" is submitted
    And its stream is read to the end
    And the prompt "swordfish-under-the-pier" is sent in a task that is refused
    And GET /v1/capabilities is sent with the token "sesame-opens-nothing"
    Then the logs have neither "swordfish" nor "sesame" nor the server's token
    And the logs do not have the text of the stream

  @OC-CTRL-2052
  Scenario: the correlation id of a request is on its log lines
    When a task is submitted with X-Correlation-Id "trace-me-42"
    Then the log line of its admission has the correlation id "trace-me-42"
