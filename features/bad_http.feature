@security @ORCH-2006 @ORCH-2013 @OC-CTRL-2037
Feature: Bad HTTP
  Bytes that no HTTP library would send are answered in the same envelope, and the server goes on.

  Background:
    Given a server

  @disturbs
  Scenario Outline: what is not valid HTTP is refused
    When <bytes> is sent as it is
    Then it is refused with INVALID_PARAMS
    And nothing was enqueued
    And the server still answers

    Examples:
      | bytes                           |
      | a-line-of-noise                 |
      | a-nul-in-the-path               |
      | a-space-in-a-header-name        |
      | a-header-without-colon          |
      | a-header-of-20-kB               |
      | a-length-that-is-no-number      |
      | a-negative-length               |
      | two-lengths                     |
      | a-length-and-chunks             |
      | chunks-that-are-none            |
      | a-tls-hello                     |

  @disturbs @OC-CTRL-2010
  Scenario Outline: a request that never becomes whole enqueues nothing
    When a client sends <part> and goes away
    Then nothing was enqueued
    And the server still answers

    Examples:
      | part                     |
      | nothing                  |
      | half-a-request-line      |
      | half-the-headers         |
      | the-headers-only         |
      | half-the-body            |
      | half-the-chunks          |

  @disturbs @OC-CTRL-2045
  Scenario: a body that does not come in time is refused
    Given a server that waits 300 ms for a body
    When half-the-body is sent, and nothing more
    Then it is refused with REQUEST_TIMEOUT
    And nothing was enqueued
    And the server still answers
