@data-plane
Feature: Status
  One call tells an operator how every pool is and what runs now; a page for people shows the same, live.

  Background:
    Given a server

  @disturbs @OC-CTRL-2072
  Scenario: what runs and what waits is counted, and no prompt is shown
    Given every slot is busy
    And a task that waits
    When GET /v1/status is sent
    Then the status shows the pool with the waiting task and every slot busy
    And it shows the tasks that run, and not the one that waits
    And no prompt is in the answer

  @OC-CTRL-2072 @ORCH-3035
  Scenario: the status is for those who have the token
    When GET /v1/status is sent without a token
    Then it is refused with UNAUTHENTICATED

  @OC-CTRL-2073
  Scenario: the page needs no token, and tells nothing by itself
    When GET / is sent without a token
    Then it is answered with 200
    And the answer is a page that may load nothing of others
    And neither a pool nor a task is named in it
