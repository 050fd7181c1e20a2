@data-plane @ORCH-2006 @OC-CTRL-2030 @ORCH-2013 @OC-CTRL-2033
Feature: Bad requests
  Paths, methods, types and sizes that the API does not have are refused in the same envelope.

  Background:
    Given a server

  @disturbs
  Scenario Outline: a body that is not declared as JSON is refused
    When a task is posted as <type>
    Then it is refused with UNSUPPORTED_MEDIA_TYPE
    And nothing was enqueued

    Examples:
      | type                              |
      | text/plain                        |
      | application/x-www-form-urlencoded |
      | application/jsonp                 |
      | nothing-at-all                    |

  # T16: Envoy #828 and #494, where what was too large was cut short instead of refused
  @disturbs @OC-CTRL-2035
  Scenario Outline: a body of 10 MB is refused
    When a task of 10 MB is posted <how>
    Then it is refused with PAYLOAD_TOO_LARGE
    And nothing was enqueued

    Examples:
      | how                 |
      | with-its-length     |
      | in-chunks           |

  Scenario Outline: an id in a path that is no UUID is refused
    When <request> is sent
    Then it is refused with INVALID_PARAMS

    Examples:
      | request                                              |
      | GET /v1/tasks/abc                                    |
      | GET /v1/tasks/abc/stream                             |
      | POST /v1/tasks/abc/cancel                            |
      | GET /v1/sessions/abc                                 |
      | DELETE /v1/sessions/abc                              |
      | GET /v1/tasks/7b6a8c1e6f0f4f6e9d584c1c1b1f4a10       |
      | GET /v1/tasks/7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a1g   |
      | GET /v1/tasks/%00                                    |

  @core
  Scenario Outline: what is not known is not found
    When <request> is sent
    Then it is refused with NOT_FOUND

    Examples:
      | request                    |
      | GET /v1/tasks/ID           |
      | GET /v1/tasks/ID/stream    |
      | POST /v1/tasks/ID/cancel   |
      | GET /v1/sessions/ID        |
      | DELETE /v1/sessions/ID     |
      | GET /v1/pools/nobody/health |
      | GET /v1                    |
      | GET /v1/tasks/ID/nothing   |

  @disturbs
  Scenario Outline: a method that a path does not have is refused
    When <request> is sent
    Then it is refused with METHOD_NOT_ALLOWED
    And nothing was enqueued

    Examples:
      | request                    |
      | GET /v1/tasks              |
      | PUT /v1/tasks              |
      | DELETE /v1/tasks/ID        |
      | POST /v1/tasks/ID/stream   |
      | GET /v1/tasks/ID/cancel    |
      | POST /v1/sessions/ID       |
      | POST /metrics              |
