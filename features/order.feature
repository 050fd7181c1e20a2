@data-plane @ORCH-3004 @OC-CORE-1004
Feature: Order of service
  Interactive goes before batch; within a lane, who came first goes first.

  # T5: Paddler #46 and #61, where a burst came out of order; T22: priorities that mean the opposite one layer down
  @disturbs @ORCH-3000 @OC-CORE-1003
  Scenario: interactive tasks overtake batch tasks, and each lane keeps its order
    Given a server with one slot
    And every slot is busy
    When tasks are submitted as batch, interactive, batch, interactive, interactive, batch
    And the slot becomes free
    Then they are served interactive first, and in order of arrival

  @disturbs @OC-CORE-1003
  Scenario: places in the queue follow arrival
    Given a server
    And every slot is busy
    When tasks are submitted as batch, batch, batch, batch
    Then each is told a place behind the one before

  # T10: Dynamo #10878, where a canceled task still counted in depth and place
  @disturbs @ORCH-3029 @ORCH-2009
  Scenario: a waiting task moves up as others leave
    Given a server
    And every slot is busy
    When tasks are submitted as batch, batch, batch
    And the first of them is canceled
    Then the last of them has moved up by one

  # T15: a tenant that is held to batch obtained interactive by a header
  @disturbs
  Scenario: no header takes a batch task to the interactive lane
    Given a server with one slot
    And every slot is busy
    When a batch task is submitted with headers that ask for interactive, and then an interactive task
    And the slot becomes free
    Then they are served interactive first, and in order of arrival
