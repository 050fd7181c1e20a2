@ORCH-3090 @ORCH-3091
Feature: Models that are fetched
  A model that is not here is fetched where policy allows it; where not, its pool says so at once.

  @ORCH-2006 @OC-POOL-3003
  Scenario Outline: a missing model that may not be fetched makes its pool unready at once
    Given a server whose model "<model>" is missing, under <rules>
    When a task is submitted
    Then it is refused with POOL_UNREADY
    And the refusal came within 2000 ms
    And the health of the pool says "<why>"

    Examples:
      | model                                  | rules                          | why                        |
      | hf:nobody/nothing/model.gguf           | {"mode": "strict"}             | strict mode                |
      | hf:nobody/nothing                      | {"enabled": false}             | switched off               |
      | s3://nobodys-bucket/model.gguf         | {"mode": "strict"}             | strict mode                |
      | oci://registry.example/model:v1        | {"deny": ["registry.example"]} | deny list                  |
      | https://models.example/model.gguf      | {"schemes": ["http"]}          | not among the allowed      |

  @OC-POLICY-4042
  Scenario: a source inside the host's network is refused
    Given a server whose model "https://169.254.169.254/latest/meta-data" is missing, under {"mode": "permissive"}
    When a task is submitted
    Then it is refused with POOL_UNREADY
    And the health of the pool says "inside this host or its network"
