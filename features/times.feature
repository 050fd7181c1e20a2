@data-plane
Feature: Times that come true
  What a server says of times is what becomes of them, as far as the harness itself was in time to see it.

  @disturbs @OC-CORE-1043 @OC-CORE-1044 @OC-CORE-1045 @ORCH-2007
  Scenario: who comes again exactly after Retry-After is admitted
    Given a server of 20 pools with one slot and one waiting place each
    And every pool has measured its pace
    When a task is refused by every pool, and sent again exactly after Retry-After
    Then nine of ten of them are admitted, and none was told to wait much longer than it took

  @disturbs @OC-CORE-1042 @OC-CORE-1003 @ORCH-3029 @OC-TEST-7035
  Scenario: a predicted start comes true as nearly as the report says
    Given a server
    And the server has measured its pace
    When 6 more tasks than there are slots are submitted at once and read to their end
    Then those that waited longer were predicted to
    And the error of the predictions is in the report
