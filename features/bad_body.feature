@data-plane @ORCH-2006 @OC-CTRL-2030 @ORCH-2013 @OC-CTRL-2014
Feature: Bad bodies
  Whatever is posted gets a typed error: never a defect, never a hang, and nothing is enqueued.

  Background:
    Given a server

  @disturbs @OC-CTRL-2034
  Scenario Outline: the field at fault is named
    When <body> is posted as a task
    Then it is refused with INVALID_PARAMS
    And its message names <field>
    And nothing was enqueued

    Examples:
      | body                     | field         |
      | an-unknown-field         | temperature   |
      | no-deadline_ms           | deadline_ms   |
      | ctx-as-text              | ctx           |
      | an-unknown-priority      | priority      |
      | max_tokens-0             | max_tokens    |
      | seed-beyond-int64        | seed          |

  @disturbs @OC-CTRL-2034
  Scenario Outline: a body that is not the contract's is refused
    When <body> is posted as a task
    Then it is refused with INVALID_PARAMS
    And nothing was enqueued

    Examples: not JSON
      | body                   |
      | nothing                |
      | plain-text             |
      | a-form                 |
      | half-a-task            |
      | a-task-and-more        |
      | two-tasks              |
      | broken-utf-8           |
      | utf-16                 |
      | a-lone-surrogate       |
      | nan                    |
      | infinity               |
      | single-quotes          |
      | nested-100000-deep     |

    Examples: not an object
      | body     |
      | an-array |
      | a-string |
      | a-number |
      | null     |

    Examples: other fields
      | body                   |
      | an-empty-object        |
      | an-unknown-field       |
      | a-field-twice          |
      | a-deep-unknown-field   |
      | no-task_id             |
      | no-session_id          |
      | no-engine              |
      | no-deadline_ms         |
      | no-prompt              |
      | prompt-and-inputs      |
      | no-inputs-in-the-list  |
      | two-inputs             |

    Examples: other types
      | body                     |
      | ctx-as-text              |
      | ctx-as-a-fraction        |
      | ctx-as-true              |
      | ctx-as-null              |
      | prompt-as-a-number       |
      | prompt-as-an-object      |
      | inputs-as-text           |
      | inputs-of-numbers        |
      | task_id-as-a-number      |
      | deadline_ms-as-text      |

    Examples: other values
      | body                      |
      | a-task_id-of-text         |
      | a-task_id-without-dashes  |
      | a-task_id-in-braces       |
      | a-task_id-as-urn          |
      | a-session_id-of-text      |
      | an-unknown-engine         |
      | an-unknown-priority       |
      | an-unknown-workload       |
      | an-unknown-determinism    |
      | an-unknown-on_disconnect  |
      | an-empty-prompt           |
      | an-empty-model_ref        |

    Examples: huge and small numbers
      | body                          |
      | ctx-0                         |
      | ctx-minus-1                   |
      | max_tokens-0                  |
      | max_tokens-beyond-int32       |
      | deadline_ms-beyond-int64      |
      | seed-beyond-int64             |
      | seed-below-int64              |
      | ctx-1e400                     |
      | ctx-of-5000-digits            |
