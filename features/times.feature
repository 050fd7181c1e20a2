@data-plane
Feature: Times that come true
  What a server says of times is what becomes of them, as far as the harness itself was in time to see it.

  @disturbs @OC-CORE-1043 @OC-CORE-1044 @OC-CORE-1045 @ORCH-2007
  Scenario: who comes again exactly after Retry-After is admitted
    Given a server of 20 pools with one slot and one waiting place each
    And every pool has measured its pace
    When a task is refused by every pool, and sent again exactly after Retry-After
    Then nine of ten of them are admitted, and none was told to wait much longer than it took

  # T8: Dynamo #14643, a stream that came in bursts, for it waited for delayed acknowledgements
  @OC-CTRL-2083
  Scenario: tokens come as they are made, not as they are acknowledged
    Given a server whose engine makes a token every 10 ms
    When a task of 200 tokens is submitted and watched
    Then nine of ten tokens come at most 30 ms after the one before

  @disturbs @OC-CORE-1042 @OC-CORE-1047 @OC-CORE-1003 @ORCH-3029 @OC-TEST-7035
  Scenario: a predicted start comes true as nearly as the report says
    Given a server that has measured its pace on a task like those that follow
    When 6 more tasks than there are slots are submitted at once and read to their end
    Then those that waited longer were predicted to
    And none was told to wait much longer than it took, or much shorter
