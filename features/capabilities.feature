@control-plane
Feature: Capabilities and health
  A client learns from one call what it may ask for, and from another whether a pool takes work.

  Background:
    Given a server

  @core @ORCH-2104 @ORCH-3095 @ORCH-3096 @OC-CTRL-2060 @OC-CTRL-2061 @ORCH-3044
  Scenario: capabilities name the contract's version and every engine with its limits
    When GET /v1/capabilities is sent
    Then it is answered with 200
    And api_version is the contract's
    And every engine names its version, context, workloads and concurrency

  @core @ORCH-3058 @OC-ADAPT-5012 @OC-CORE-1031
  Scenario: a stand-in says so wherever it is described
    When GET /v1/capabilities is sent
    Then an engine is a stand-in by its version exactly when it is one by its features
    And a task's started frame names the same engine_version

  @core @ORCH-2103 @OC-CTRL-2001
  Scenario: a pool that takes work is live, ready and not draining
    When the health of the pool is read
    Then the pool is live and ready, and not draining

  @core @ORCH-2104 @OC-CTRL-2004 @OC-CTRL-2062
  Scenario Outline: the list of replica sets is gone
    When <method> /v1/replicasets is sent
    Then it is refused with NOT_FOUND

    Examples:
      | method |
      | GET    |
      | POST   |
      | DELETE |

  @core @OC-ADAPT-5002 @OC-ADAPT-5021
  Scenario Outline: an engine's own API is never public
    When <request> is sent
    Then it is refused with NOT_FOUND

    Examples:
      | request                   |
      | POST /v1/completions      |
      | POST /v1/chat/completions |
      | POST /v1/embeddings       |
      | GET /v1/models            |
      | POST /completion          |
      | GET /slots                |
      | GET /props                |
