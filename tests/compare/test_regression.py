# SPDX-License-Identifier: Apache-2.0
"""The baselines of the table are plain scikit-learn, and nothing of the test part reaches its preparation."""

from __future__ import annotations

import numpy as np
import pandas
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from workbench.compare.training import clinical_frame, forest, regression

COLUMNS = [
    {"name": "age", "kind": "number", "unit": "years"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "afp", "kind": "number"},
    {"name": "stage", "kind": "category", "values": ["I", "II", "III"]},
]


def patients(number: int, seed: int) -> list[dict]:
    """Cases of which some lack a value."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(number):
        values = {
            "age": float(rng.normal(60, 10)),
            "sex": str(rng.choice(["F", "M"])),
            "afp": float(rng.exponential(5)),
            "stage": str(rng.choice(["I", "II"])),
        }
        cases.append({"clinical": {key: value for key, value in values.items() if rng.random() > 0.2}})
    return cases


def by_hand(cases: list[dict], fitted_on: list[dict]) -> np.ndarray:
    """The same preparation written out: impute, standardise, one column per declared value."""
    table, known = (
        pandas.DataFrame([c["clinical"] for c in cases]),
        pandas.DataFrame([c["clinical"] for c in fitted_on]),
    )
    columns = []
    for column in COLUMNS:
        name = column["name"]
        if column["kind"] == "number":
            mean = known[name].mean()
            spread = known[name].fillna(mean).std(ddof=0)
            columns.append((table[name].fillna(mean) - mean) / spread)
    for column in COLUMNS:
        name = column["name"]
        if column["kind"] == "category":
            filled = table[name].fillna(known[name].mode()[0])
            columns += [(filled == value).astype(float) for value in column["values"]]
    return np.stack(columns, axis=1)


def test_it_equals_a_regression_on_a_table_prepared_by_hand():
    training, test = patients(80, 0), patients(30, 1)
    labels = np.random.default_rng(2).integers(0, 3, 80)
    model = regression(COLUMNS).fit(clinical_frame(COLUMNS, training), labels)
    plain = LogisticRegression(max_iter=5000).fit(by_hand(training, training), labels)
    found = model.predict_proba(clinical_frame(COLUMNS, test))
    np.testing.assert_allclose(found, plain.predict_proba(by_hand(test, training)), rtol=1e-6)


def test_a_column_without_any_value_and_a_value_never_seen_are_no_errors():
    training = [{"clinical": {"age": 50.0 + number, "sex": "F"}} for number in range(10)]
    test = [{"clinical": {"stage": "III", "afp": 3.0, "sex": "M"}}, {"clinical": {}}, {}]
    model = regression(COLUMNS).fit(clinical_frame(COLUMNS, training), [0, 1] * 5)
    assert np.isfinite(model.predict_proba(clinical_frame(COLUMNS, test))).all()


def test_a_forest_is_scikit_learns_with_default_settings_and_the_seed():
    training, test = patients(80, 0), patients(30, 1)
    labels = np.random.default_rng(2).integers(0, 3, 80)
    found = (
        forest(COLUMNS, 5).fit(clinical_frame(COLUMNS, training), labels).predict_proba(clinical_frame(COLUMNS, test))
    )
    plain = RandomForestClassifier(random_state=5).fit(by_hand(training, training), labels)
    np.testing.assert_allclose(found, plain.predict_proba(by_hand(test, training)), atol=0.03)
    again = forest(COLUMNS, 5).fit(clinical_frame(COLUMNS, training), labels)
    assert (again.predict_proba(clinical_frame(COLUMNS, test)) == found).all()
    other = forest(COLUMNS, 6).fit(clinical_frame(COLUMNS, training), labels)
    assert (other.predict_proba(clinical_frame(COLUMNS, test)) != found).any()
