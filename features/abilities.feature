@control-plane @ORCH-3095 @OC-TEST-7021
Feature: Abilities
  What capabilities claim works, and what they do not claim is asked for, and refused.

  Background:
    Given a server

  Scenario Outline: a workload works on every engine that claims it, and is refused by the others
    When a task for <workload> is tried on every engine
    Then it works where it is claimed, and is refused where it is not

    Examples:
      | workload   |
      | completion |
      | embedding  |
      | rerank     |

  @ORCH-2008
  Scenario Outline: an engine works that is claimed, and another is refused
    When a task is tried on the engine <engine>
    Then it works where it is claimed, and is refused where it is not

    Examples:
      | engine   |
      | llamacpp |
      | vllm     |
      | tgi      |
      | triton   |

  @disturbs
  Scenario: as many tasks run at a time as capabilities declare
    When as many long tasks are submitted as slots are declared
    Then all of them run at the same time
