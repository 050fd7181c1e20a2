@data-plane @ORCH-3021
Feature: Sessions
  A session is short-lived: some turns, some minutes, and gone when it is deleted.

  Background:
    Given a server

  @core @ORCH-2004
  Scenario: a session shows its turns and its remaining time
    Given 2 tasks of one session have ended
    When the session is read
    Then it has 2 turns and at most 600000 ms to live

  @core @ORCH-2005
  Scenario: a deleted session is gone
    Given 1 tasks of one session have ended
    When the session is deleted
    Then the session is gone

  @ORCH-2005
  Scenario: a deleted session begins anew with its next task
    Given 2 tasks of one session have ended
    When the session is deleted
    And 1 more tasks of it have ended
    And the session is read
    Then it has 1 turns and at most 600000 ms to live

  @disturbs @ORCH-2007 @OC-CTRL-2011 @OC-CORE-1026
  Scenario: a session that has had its turns is refused with its own policy label
    When tasks of one session are submitted until one is refused
    Then 8 of them were accepted at most
    And it is refused with ADMISSION_REJECT
    And the policy label is "session-turns"
    And the wait is as long as the session lives

  @ORCH-2004
  Scenario: a session that was never used is not known
    When the session is read
    Then it is refused with NOT_FOUND

  @ORCH-2004
  Scenario: a session expires when nothing comes
    Given a server whose sessions live 400 ms
    And 1 tasks of one session have ended
    Then the session is gone within 2000 ms

  @OC-CORE-1027
  Scenario: each turn starts the time to live anew
    Given a server whose sessions live 400 ms
    When a task of the session is submitted every 250 ms, 4 times
    And the session is read
    Then it has 4 turns and at most 400 ms to live
