"""What a paper cites of a run: BibTeX by key, and which keys a method, a stopping rule and a library bring."""

from collections.abc import Iterable, Mapping

from evenhand import __version__

BIBTEX: Mapping[str, str] = {
    "evenhand": f"""@software{{evenhand,
  title   = {{Evenhand: a laboratory where people and optimizers tune the same task on equal terms}},
  author  = {{{{Evenhand developers}}}},
  version = {{{__version__}}},
  url     = {{https://github.com/evenhand/evenhand}}
}}""",
    "bergstra2012random": """@article{bergstra2012random,
  title   = {Random Search for Hyper-Parameter Optimization},
  author  = {Bergstra, James and Bengio, Yoshua},
  journal = {Journal of Machine Learning Research},
  volume  = {13},
  pages   = {281--305},
  year    = {2012}
}""",
    "sobol1967": """@article{sobol1967,
  title   = {On the distribution of points in a cube and the approximate evaluation of integrals},
  author  = {Sobol', Ilya M.},
  journal = {USSR Computational Mathematics and Mathematical Physics},
  volume  = {7},
  number  = {4},
  pages   = {86--112},
  year    = {1967}
}""",
    "bergstra2011tpe": r"""@inproceedings{bergstra2011tpe,
  title     = {Algorithms for Hyper-Parameter Optimization},
  author    = {Bergstra, James and Bardenet, R{\'e}mi and Bengio, Yoshua and K{\'e}gl, Bal{\'a}zs},
  booktitle = {Advances in Neural Information Processing Systems 24},
  year      = {2011}
}""",
    "falkner2018bohb": """@inproceedings{falkner2018bohb,
  title     = {{BOHB}: Robust and Efficient Hyperparameter Optimization at Scale},
  author    = {Falkner, Stefan and Klein, Aaron and Hutter, Frank},
  booktitle = {Proceedings of the 35th International Conference on Machine Learning},
  year      = {2018}
}""",
    "akiba2019optuna": """@inproceedings{akiba2019optuna,
  title     = {Optuna: A Next-generation Hyperparameter Optimization Framework},
  author    = {Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and Koyama, Masanori},
  booktitle = {Proceedings of the 25th ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year      = {2019}
}""",
    "ament2023logei": """@inproceedings{ament2023logei,
  title     = {Unexpected Improvements to Expected Improvement for {Bayesian} Optimization},
  author    = {Ament, Sebastian and Daulton, Samuel and Eriksson, David and Balandat, Maximilian and Bakshy, Eytan},
  booktitle = {Advances in Neural Information Processing Systems 36},
  year      = {2023}
}""",
    "hamano2025catcma": """@misc{hamano2025catcma,
  title         = {{CatCMA} with Margin: Stochastic Optimization for Continuous, Integer, and Categorical Variables},
  author        = {Hamano, Ryoki and Nomura, Masahiro and Saito, Shota and Uchida, Kento and Shirakawa, Shinichi},
  year          = {2025},
  eprint        = {2504.07884},
  archiveprefix = {arXiv}
}""",
    "real2019evolution": """@inproceedings{real2019evolution,
  title     = {Regularized Evolution for Image Classifier Architecture Search},
  author    = {Real, Esteban and Aggarwal, Alok and Huang, Yanping and Le, Quoc V.},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  volume    = {33},
  year      = {2019}
}""",
    "deb2002nsga2": """@article{deb2002nsga2,
  title   = {A Fast and Elitist Multiobjective Genetic Algorithm: {NSGA-II}},
  author  = {Deb, Kalyanmoy and Pratap, Amrit and Agarwal, Sameer and Meyarivan, T.},
  journal = {IEEE Transactions on Evolutionary Computation},
  volume  = {6},
  number  = {2},
  pages   = {182--197},
  year    = {2002}
}""",
    "hvarfner2022pibo": r"""@inproceedings{hvarfner2022pibo,
  title     = {{$\pi$BO}: Augmenting Acquisition Functions with User Beliefs for {Bayesian} Optimization},
  author    = {Hvarfner, Carl and Stoll, Danny and Souza, Artur and Lindauer, Marius and Hutter, Frank and Nardi, Luigi},
  booktitle = {International Conference on Learning Representations},
  year      = {2022}
}""",
    "fehring2025dynabo": r"""@misc{fehring2025dynabo,
  title         = {Dynamic Priors in {Bayesian} Optimization for Hyperparameter Optimization},
  author        = {Fehring, Lukas and Wever, Marcel and Splieth{\"o}ver, Maximilian and Hennig, Leona and Wachsmuth, Henning
                   and Lindauer, Marius},
  year          = {2025},
  eprint        = {2511.02570},
  archiveprefix = {arXiv}
}""",
    "li2018hyperband": """@article{li2018hyperband,
  title   = {Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization},
  author  = {Li, Lisha and Jamieson, Kevin and DeSalvo, Giulia and Rostamizadeh, Afshin and Talwalkar, Ameet},
  journal = {Journal of Machine Learning Research},
  volume  = {18},
  number  = {185},
  pages   = {1--52},
  year    = {2018}
}""",
    "li2020asha": """@inproceedings{li2020asha,
  title     = {A System for Massively Parallel Hyperparameter Tuning},
  author    = {Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and Ben-tzur, Jonathan and Hardt,
               Moritz and Recht, Benjamin and Talwalkar, Ameet},
  booktitle = {Proceedings of Machine Learning and Systems 2},
  year      = {2020}
}""",
    "mallik2023priorband": """@inproceedings{mallik2023priorband,
  title     = {{PriorBand}: Practical Hyperparameter Optimization in the Age of Deep Learning},
  author    = {Mallik, Neeratyoy and Bergman, Edward and Hvarfner, Carl and Stoll, Danny and Janowski, Maciej and Lindauer,
               Marius and Nardi, Luigi and Hutter, Frank},
  booktitle = {Advances in Neural Information Processing Systems 36},
  year      = {2023}
}""",
    "golovin2017vizier": """@inproceedings{golovin2017vizier,
  title     = {{Google Vizier}: A Service for Black-Box Optimization},
  author    = {Golovin, Daniel and Solnik, Benjamin and Moitra, Subhodeep and Kochanski, Greg and Karro, John and Sculley, D.},
  booktitle = {Proceedings of the 23rd ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year      = {2017}
}""",
    "paszke2019pytorch": """@inproceedings{paszke2019pytorch,
  title     = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  author    = {Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and Bradbury, James and others},
  booktitle = {Advances in Neural Information Processing Systems 32},
  year      = {2019}
}""",
    "pedregosa2011sklearn": r"""@article{pedregosa2011sklearn,
  title   = {Scikit-learn: Machine Learning in {Python}},
  author  = {Pedregosa, Fabian and Varoquaux, Ga{\"e}l and Gramfort, Alexandre and Michel, Vincent and others},
  journal = {Journal of Machine Learning Research},
  volume  = {12},
  pages   = {2825--2830},
  year    = {2011}
}""",
}

METHOD_WORDS: Mapping[str, str] = {
    "grid": "a grid of a few levels of each hyperparameter",
    "random": "random search",
    "sobol": "a scrambled Sobol sequence",
    "tpe": "the tree-structured Parzen estimator of Optuna, in its multivariate, grouped form",
    "gp": "the Gaussian process of Optuna with the logarithm of expected improvement",
    "cmaes": "covariance matrix adaptation for mixed spaces (CatCMA with Margin)",
    "evolution": "regularized evolution",
    "nsga2": "NSGA-II in its steady-state form",
    "pibo": "Bayesian optimization guided by beliefs",
    "hyperband": "Hyperband",
    "asha": "asynchronous successive halving",
    "priorband": "PriorBand",
    "manual": "a list of configurations",
}
METHOD_KEYS: Mapping[str, tuple[str, ...]] = {
    "random": ("bergstra2012random",),
    "sobol": ("sobol1967",),
    "tpe": ("bergstra2011tpe", "falkner2018bohb", "akiba2019optuna"),
    "gp": ("ament2023logei", "akiba2019optuna"),
    "cmaes": ("hamano2025catcma",),
    "evolution": ("real2019evolution",),
    "nsga2": ("deb2002nsga2",),
    "pibo": ("hvarfner2022pibo", "fehring2025dynabo"),
    "hyperband": ("li2018hyperband",),
    "asha": ("li2020asha",),
    "priorband": ("mallik2023priorband",),
}
STOPPING_KEYS: Mapping[str, tuple[str, ...]] = {"median": ("golovin2017vizier",)}
LIBRARY_KEYS: Mapping[str, tuple[str, ...]] = {"torch": ("paszke2019pytorch",), "sklearn": ("pedregosa2011sklearn",)}


def bibtex(keys: Iterable[str]) -> str:
    """The entries of these keys, each once, in order."""
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys(keys))
