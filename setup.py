from setuptools import find_packages
from setuptools import setup

# `trainers/` and `export/` stand at the top of the repository for the reader,
# and are installed below `unilmv2_tf` to keep site-packages clean.
setup(
    packages=[
        *find_packages(include=["unilmv2_tf", "unilmv2_tf.*"]),
        "unilmv2_tf.trainers",
        *(f"unilmv2_tf.trainers.{name}" for name in find_packages("trainers")),
        "unilmv2_tf.export",
    ],
    package_dir={
        "unilmv2_tf": "unilmv2_tf",
        "unilmv2_tf.trainers": "trainers",
        "unilmv2_tf.export": "export",
    },
    package_data={"unilmv2_tf.trainers": ["recipes/*/*.yaml"]},
)
