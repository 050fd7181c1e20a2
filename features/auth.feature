@security @ORCH-3035 @OC-CTRL-2040
Feature: Authentication
  One token opens both planes. Without it nothing is told and nothing happens.

  Background:
    Given a server that wants a token

  # T17: Ray's CVE-2026-27482, where DELETE needed no token
  @disturbs
  Scenario Outline: a request without the token is refused on every path
    When <request> is sent without a token
    Then it is refused with UNAUTHENTICATED
    And the answer says how to authenticate
    And nothing was enqueued

    Examples:
      | request                            |
      | POST /v1/tasks                     |
      | GET /v1/tasks/ID                   |
      | GET /v1/tasks/ID/stream            |
      | POST /v1/tasks/ID/cancel           |
      | GET /v1/sessions/ID                |
      | DELETE /v1/sessions/ID             |
      | GET /v1/capabilities               |
      | GET /v1/pools/POOL/health          |
      | POST /v1/pools/POOL/drain          |
      | POST /v1/pools/POOL/reload         |
      | POST /v1/catalog/models            |
      | GET /v1/catalog/models/ID          |
      | DELETE /v1/catalog/models/ID       |
      | POST /v1/catalog/models/ID/verify  |
      | POST /v1/catalog/models/ID/state   |
      | POST /v1/artifacts                 |
      | GET /v1/artifacts/ID               |

  @disturbs
  Scenario Outline: a wrong token is refused on both planes
    When <request> is sent with the token "<token>"
    Then it is refused with FORBIDDEN
    And nothing was enqueued

    Examples:
      | request                    | token    |
      | POST /v1/tasks             | wrong    |
      | POST /v1/tasks/ID/cancel   | wrong    |
      | POST /v1/pools/POOL/drain  | wrong    |
      | POST /v1/pools/POOL/reload | wrong    |
      | POST /v1/catalog/models    | wrong    |
      | POST /v1/artifacts         | wrong    |
      | GET /v1/capabilities       | wrong    |
      | GET /v1/capabilities       | too-long |
      | GET /v1/capabilities       | a-prefix |
      | GET /v1/capabilities       | no-ascii |

  @core
  Scenario Outline: what is no bearer token counts as none
    When GET /v1/capabilities is sent with the header "<authorization>"
    Then it is refused with UNAUTHENTICATED

    Examples:
      | authorization          |
      | Bearer                 |
      | Basic dXNlcjpwYXNz     |
      | Token x                |

  # T18: LiteLLM's CVE-2026-42208
  @OC-CTRL-2041
  Scenario: made-up Authorization headers open nothing and are logged nowhere
    Given a server of its own
    When GET /v1/capabilities is sent with 500 made-up Authorization headers
    Then each of them is refused as unknown
    And none of them is in the log

  Scenario: a token in the address is no token
    When GET /v1/capabilities is sent with the token in its query
    Then it is refused with UNAUTHENTICATED

  Scenario: a stranger cannot cancel or read
    Given a running task
    When POST /v1/tasks/ID/cancel is sent without a token
    Then it is refused with UNAUTHENTICATED
    And its state is running

  @OC-CTRL-2044
  Scenario Outline: without a token, only this machine is spoken to
    Given a server of its own without a token
    When GET /v1/capabilities is sent with the <header> "<value>"
    Then it is refused with FORBIDDEN

    Examples:
      | header | value                    |
      | Host   | evil.example             |
      | Host   | evil.example:8080        |
      | Origin | https://evil.example     |

  @core @OC-CTRL-2070
  Scenario: liveness needs no token
    When GET /healthz is sent without a token
    Then it is answered with 200
