@catalog @ORCH-3097 @ORCH-3098
Feature: Artifacts
  Texts under the digest of their content.

  @OC-CTRL-2065 @OC-CTRL-2066
  Scenario Outline: what is stored is read again under its own digest
    Given a server
    When a <kind> with the text "<text>" is stored
    Then its id is the digest of its text
    And it is read again with its kind and tags

    Examples:
      | kind    | text           |
      | plan    | first, then    |
      | summary | drei Männer 🐎 |
      | diff    | - a + b        |
      | trace   | 1 2 3          |
      | other   | ?              |

  @OC-CTRL-2065 @OC-CTRL-2066
  Scenario: an artifact keeps which one it comes from, and what is noted of it
    Given a server
    When a plan with the text "first, then" is stored
    And a diff of it is stored, with a note
    Then it is read again with its parent and its note

  @OC-CTRL-2065
  Scenario: the same text stored twice is one artifact
    Given a server
    When a plan with the text "the same" is stored
    And a plan with the text "the same" is stored
    Then both answers are equal

  Scenario Outline: an artifact that is none is refused
    Given a server
    When an artifact is stored with <field> <value>
    Then it is refused with INVALID_PARAMS

    Examples:
      | field   | value            |
      | kind    | "poem"           |
      | content | null             |
      | content | 7                |
      | tags    | "not a list"     |
      | parent  | "sha256:12"      |
      | colour  | "red"            |

  Scenario: an artifact that nobody stored is not known
    Given a server
    When an unknown artifact is read
    Then it is refused with NOT_FOUND

  @ORCH-3027
  Scenario: the transcript of a task is an artifact, where traces are kept
    Given a server that keeps traces
    And a task that has ended
    Then its status names an artifact with its frames
